"""Networks from and to torch.export and ONNX."""
