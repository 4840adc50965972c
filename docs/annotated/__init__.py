"""What "The Annotated Vision Transformer" brings along: the decoder that a ViT lacks, and its drawings."""
