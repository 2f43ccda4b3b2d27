"""Compress text encoders: teacher in; student, ONNX files and an honest report out."""

__version__ = "0.1.0"
