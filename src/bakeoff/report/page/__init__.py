"""A study as one page that needs nothing else: facts computed first, then drawn by the browser."""

from bakeoff.report.page.document import document, scripts
from bakeoff.report.page.facts import PageFacts, page_facts
from bakeoff.report.page.material import Made, Material

__all__ = ["Made", "Material", "PageFacts", "document", "page_facts", "scripts"]
