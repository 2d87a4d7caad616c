"""Print a CycloneDX 1.6 list of the Python packages of this environment. Knows installed metadata only.

No time and no serial number: the same packages give the same bytes.
"""

import json
from importlib.metadata import Distribution, distributions


def component(package: Distribution) -> dict[str, object]:
    """One package: name, version, package URL, and its licence as its metadata states it."""
    name, version = package.metadata["Name"], package.version
    found: dict[str, object] = {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{version}",
    }
    licence = package.metadata.get("License-Expression")
    if licence:
        found["licenses"] = [{"expression": licence}]
    return found


def document() -> dict[str, object]:
    """The whole list, by name."""
    found = sorted(distributions(), key=lambda package: package.metadata["Name"].lower())
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": [component(package) for package in found],
    }


if __name__ == "__main__":
    print(json.dumps(document(), indent=1))
