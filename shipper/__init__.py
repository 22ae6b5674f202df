"""shipper keeps every log line and event of Ignite apps."""

__version__ = "0.1.0"
