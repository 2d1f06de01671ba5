"""Text of the device kernels: read as package data, compiled on the user's GPU at first use."""
