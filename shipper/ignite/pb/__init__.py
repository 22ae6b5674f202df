"""Message classes generated from proto/ignite_compute.proto by proto/generate.sh; never edited by hand."""
