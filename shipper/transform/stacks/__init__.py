"""Stack traces as the runtimes of Python, Java, Go, Node, Rust and .NET print them."""
