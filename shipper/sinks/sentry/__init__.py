"""Sentry: failures as issues, and log lines as Sentry Logs where a route asks for it."""
