"""What pyproject.toml cannot say: the checkout's `patterns/` and `reports/` are the wheel's `_patterns`, `_reports`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["attnprof*"]), "attnprof._patterns", "attnprof._reports"],
    package_dir={"attnprof._patterns": "patterns", "attnprof._reports": "reports"},
    package_data={"attnprof": ["py.typed"], "attnprof.models": ["*.json"], "attnprof._reports": ["**/*"]},
    exclude_package_data={"attnprof._reports": ["reference/**/*"]},  # published in the repository, not shipped
)
