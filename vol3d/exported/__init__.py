"""Networks as ONNX and torch.export programs: written, measured against the original, and run without torch's code."""
