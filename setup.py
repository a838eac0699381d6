"""What pyproject.toml cannot say: `patterns/` and `reports/` of the checkout are `_patterns` and `_reports` of the wheel."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["attnprof*"]), "attnprof._patterns", "attnprof._reports"],
    package_dir={"attnprof._patterns": "patterns", "attnprof._reports": "reports"},
    package_data={"attnprof": ["py.typed"], "attnprof._reports": ["**/*"]},
)
