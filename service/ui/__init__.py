"""The web page: templates and files of the installation, as they are sent. No data is in them; the page asks for it."""

from service.ui.assets import Asset, assets, version
from service.ui.pages import PAGES, render

__all__ = ["PAGES", "Asset", "assets", "render", "version"]
