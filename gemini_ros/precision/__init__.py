"""Model files of lower precision: fp16 and INT8, made from a model file of fp32 and checked against it.

Works on the ONNX graph alone, with onnx and ONNX Runtime: no torch, no GPU.
"""
