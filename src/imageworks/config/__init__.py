"""All settings: each declared once, collected from every source, checked, frozen.

`PersonalTaggerConfig` (`declarations`) declares the settings. `PersonalTaggerSettings` (`settings`)
collects them from the user's file, the project's ``pyproject.toml``, the environment and the
command line, lowest first, and remembers where each value came from. ``--help``, the documentation
and the error texts are made from the same declarations.
"""

from imageworks.config.declarations import (
    PersonalTaggerConfig,
    flag_name,
    setting_default,
    setting_specs,
)
from imageworks.config.settings import (
    ENVIRONMENT_PREFIX,
    PersonalTaggerSettings,
    find_project_file,
    load_settings,
)
from imageworks.config.values import BACKENDS, CONTEXT_FACTS, SECRET_SETTINGS, SettingSpec

__all__ = [
    "BACKENDS",
    "CONTEXT_FACTS",
    "ENVIRONMENT_PREFIX",
    "SECRET_SETTINGS",
    "PersonalTaggerConfig",
    "PersonalTaggerSettings",
    "SettingSpec",
    "find_project_file",
    "flag_name",
    "load_settings",
    "setting_default",
    "setting_specs",
]
