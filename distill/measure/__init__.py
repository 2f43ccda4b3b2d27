"""Latency, size, memory and hardware; every timing in a process of its own."""
