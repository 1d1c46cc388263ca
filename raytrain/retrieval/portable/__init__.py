"""A trained model as one folder that needs neither its run nor its table, and cannot run code.

    FOLDER/
      config.json          what the model is: settings, sizes, frozen backbones, where it comes from
      model.safetensors    weights, those of backbones that trained with it too
      vocabulary.json      where texts are words
      text_model/          tokenizer and settings of a text model that trained; its weights are in model.safetensors
      image_model/         processor and settings of an image backbone that trained, likewise
      backbones/NAME/      a frozen backbone that was read from a folder, whole; others are named with their hash
      banks.safetensors    embedded training queries of inductive re-ranking, where its settings were searched
      gallery/             embeddings, ids and captions of the images of its table, on request
      manifest.json        sha256 of each file above

Other files, such as a model card, may lie beside them; they are not read.
"""
