"""Torch-free inference on an exported folder: numpy, onnxruntime and tokenizers alone."""
