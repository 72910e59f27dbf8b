"""A network to a file that other programs run: ONNX, a torch program, or a folder for the model hub."""
