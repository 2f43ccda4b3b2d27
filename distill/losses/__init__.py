"""Distillation losses: pure functions of tensors and masks, one idea a file. They import torch and nothing of ours."""
