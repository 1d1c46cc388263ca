"""What makes the documentation site of docs/, beside its pages."""
