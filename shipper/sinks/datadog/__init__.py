"""Records as Datadog logs and events."""
