"""Makes the small documents that the tests of internal/extract read.

    pip install reportlab==4.4.5 pypdf==6.4.0 python-docx==1.2.0 ebooklib==0.20
    python tools/ref/documents.py internal/extract/testdata

The texts are our own. Dates and identifiers are fixed, so that two runs differ little.
"""
import datetime
import io
import pathlib
import sys

import docx
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from ebooklib import epub
from pypdf import PdfReader, PdfWriter
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet, ParagraphStyle
from reportlab.platypus import (
    BaseDocTemplate, Frame, PageBreak, PageTemplate, Paragraph, SimpleDocTemplate, Spacer, Table)

BRIDGE = (
    "The harbour bridge at Nordvik was designed by the engineer Ingrid Solheim and opened to "
    "traffic in June 1937. It carries two railway tracks and four lanes of road across a strait "
    "that is 411 metres wide. Before it was built, a steam ferry took twenty minutes for the "
    "crossing.")
PAINT = (
    "The steel is painted in a dark red that ships can see in the fog. A team of eleven painters "
    "works on it all year round, and a full coat takes them five years and about 38,000 litres.")
TOLL = (
    "The toll was abolished in 1962, when the loan had been repaid. Since then the county pays "
    "for upkeep, which cost 12.4 million crowns in 2019.")
TABLE = [["Year", "Vehicles a day", "Trains a day"], ["1940", "2,150", "31"], ["1980", "17,400", "64"],
         ["2019", "41,900", "118"]]


def report(path):
    """Two pages with headings, a table and a footer, in one column."""
    styles = getSampleStyleSheet()
    story = [
        Paragraph("The Nordvik Bridge", styles["Title"]),
        Paragraph("History", styles["Heading2"]), Paragraph(BRIDGE, styles["BodyText"]),
        Paragraph(PAINT, styles["BodyText"]),
        PageBreak(),
        Paragraph("Traffic and money", styles["Heading2"]), Paragraph(TOLL, styles["BodyText"]),
        Spacer(1, 12), Table(TABLE), Spacer(1, 12),
        Paragraph("The counts are daily means over the year. They were made by hand until 1978.",
                  styles["BodyText"]),
    ]

    def footer(canvas, document):
        canvas.drawCentredString(A4[0] / 2, 30, str(document.page))

    SimpleDocTemplate(path, pagesize=A4, title="The Nordvik Bridge: a report", invariant=1).build(
        story, onFirstPage=footer, onLaterPages=footer)


def columns(path):
    """One page in two columns, justified, with words broken by hyphens at line ends."""
    style = ParagraphStyle("narrow", fontName="Helvetica", fontSize=10, leading=12,
                           alignment=4, spaceAfter=8)
    first = ("Engineers speak of the stiff-<br/>ness of a bridge when they mean how little it bends. "
             "Stiffness is not strength: a well-<br/>known rope bridge is strong and bends a lot. "
             "Every well-known bridge was measured.")
    document = BaseDocTemplate(path, pagesize=A4, invariant=1)
    width = (A4[0] - 130) / 2
    frames = [Frame(50 + i * (width + 30), 560, width, 230, id=str(i)) for i in range(2)]
    document.addPageTemplates([PageTemplate(frames=frames)])
    document.build([Paragraph(first, style), Paragraph(BRIDGE, style), Paragraph(PAINT, style),
                    Paragraph(TOLL, style)])


def encrypted(source, path):
    writer = PdfWriter(clone_from=PdfReader(source))
    writer.encrypt(user_password="secret", owner_password="owner", algorithm="RC4-128")
    with open(path, "wb") as out:
        writer.write(out)


def word(path):
    document = docx.Document()
    document.core_properties.title = "The Nordvik Bridge: a report"
    document.core_properties.created = document.core_properties.modified = datetime.datetime(2020, 1, 2)
    document.add_heading("The Nordvik Bridge", 0)
    document.add_heading("History", 1)
    paragraph = document.add_paragraph()
    half = len(BRIDGE) // 2
    paragraph.add_run(BRIDGE[:half]).bold = True  # a word in two runs
    paragraph.add_run(BRIDGE[half:])
    document.add_paragraph(PAINT)
    document.add_heading("Traffic", 2)
    table = document.add_table(rows=0, cols=3)
    for row in TABLE:
        for cell, text in zip(table.add_row().cells, row):
            cell.text = text
    document.add_paragraph("Sources", style="Heading 1")
    for item in ("County archive, box 17", "Painters' log, 1990–2019"):
        document.add_paragraph(item, style="List Bullet")
    deleted = document.add_paragraph("Kept words. ")
    run = OxmlElement("w:del")
    inner = OxmlElement("w:r")
    text = OxmlElement("w:delText")
    text.text = "Deleted words."
    inner.append(text)
    run.append(inner)
    run.set(qn("w:id"), "1")
    deleted._p.append(run)
    document.save(path)


def book(path):
    b = epub.EpubBook()
    b.set_identifier("nordvik")
    b.set_title("Bridges of the North")
    b.set_language("en")
    chapters = []
    for i, (title, head, text) in enumerate([
            ("The bridge", "<h1>The bridge</h1>", BRIDGE), ("The paint", "", PAINT),
            ("The toll", "<h2>The toll</h2>", TOLL)]):
        chapter = epub.EpubHtml(title=title, file_name=f"text/chapter {i + 1}.xhtml", lang="en")
        chapter.content = f"<html><head/><body>{head}<p>{text}</p></body></html>"
        b.add_item(chapter)
        chapters.append(chapter)
    b.toc = tuple(chapters)
    b.add_item(epub.EpubNcx())
    b.add_item(epub.EpubNav())
    b.spine = ["nav", chapters[0], chapters[2], chapters[1]]  # not the order of the files
    epub.write_epub(path, b)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    report(str(folder / "report.pdf"))
    columns(str(folder / "columns.pdf"))
    encrypted(folder / "report.pdf", folder / "encrypted.pdf")
    word(str(folder / "report.docx"))
    book(str(folder / "book.epub"))


main()
