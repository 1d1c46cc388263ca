"""Two towers: one vector per image and per caption, each a linear map plus an MLP, trained by InfoNCE."""
