"""What `helm test` runs: the daemon lives, is ready and counts. It is asked for a minute, as it may be starting."""

import os
import sys
import time
import urllib.error
import urllib.request

URL = os.environ["SHIPPER_URL"]
EXPECTED = {"/healthz": "alive", "/readyz": "ready", "/metrics": "shipper_build_info"}


def page(path: str) -> str:
    """The page's text, also where it answers that something is wrong."""
    try:
        with urllib.request.urlopen(URL + path, timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as refusal:
        return f"{refusal.code}: {refusal.read().decode()}"
    except OSError as error:
        return f"no answer from {URL}{path}: {error}"


def problems() -> dict[str, str]:
    """Pages that do not say what they should."""
    pages = {path: page(path) for path in EXPECTED}
    return {
        path: text
        for path, text in pages.items()
        if not any(line.startswith(EXPECTED[path]) for line in text.splitlines())
    }


deadline = time.monotonic() + 60
while (wrong := problems()) and time.monotonic() < deadline:
    time.sleep(2)
for path, text in wrong.items():
    print(f"{path}: {text}")
if not wrong:
    print("shipper lives, is ready and counts")
sys.exit(bool(wrong))
