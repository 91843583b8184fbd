"""Looks for known holes in what is installed, and says so when it could not look.

    pip install '.[audit]' && python tests/faults/audit.py

pip-audit asks an advisory service over the network (PyPI's, or OSV's with ``--service osv``). Where
it cannot be reached pip-audit skips every package and exits with 0: "no known vulnerabilities". So a
package with a published hole is asked for first; if that is not found, nothing was looked at.

Exits with 0: looked, and found nothing; 1: found something; 3: could not look.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

KNOWN = "jinja2==2.10"
"""CVE-2019-10906, published years ago: whoever does not find it does not look."""
COULD_NOT_LOOK = 3


def audit(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pip-audit."""
    return subprocess.run(
        [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def main() -> int:
    """Check that the service answers, then audit this environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service", choices=("pypi", "osv"), default="pypi")
    service = ("--vulnerability-service", parser.parse_args().service)
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / "known.txt"
        known.write_text(KNOWN + "\n", encoding="utf-8")
        control = audit("-r", str(known), "--disable-pip", "--no-deps", *service)
    if control.returncode != 1 or "jinja2" not in control.stdout:
        print(f"NOT AUDITED: pip-audit did not find the published hole of {KNOWN}:")
        print((control.stdout + control.stderr).strip())
        print("run it where the advisory service can be reached: python tests/faults/audit.py")
        return COULD_NOT_LOOK
    result = audit("--strict", "--skip-editable", *service)
    print((result.stdout + result.stderr).strip())
    print("audited: nothing known" if result.returncode == 0 else "audited: see above")
    return min(result.returncode, 1)


if __name__ == "__main__":
    sys.exit(main())
