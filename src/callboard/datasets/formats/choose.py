"""From a format's name to its writer."""

from callboard.datasets.columns import Columns
from callboard.datasets.formats.base import Writer
from callboard.datasets.formats.csv_text import CsvWriter
from callboard.datasets.formats.html_table import HtmlWriter
from callboard.datasets.formats.json_text import JsonLinesWriter, JsonWriter
from callboard.datasets.formats.xlsx import XlsxWriter
from callboard.datasets.formats.xml_tree import RssWriter, XmlWriter
from callboard.datasets.item_query import Reading
from callboard.datasets.model import Format, ItemQuery, Span
from callboard.datasets.transform import Transform
from callboard.datasets.values import decode_record, open_record
from callboard.storages.model import Storage


def writer_for(query: ItemQuery, reading: Reading, dataset: Storage, span: Span) -> Writer:
    is_json = query.format in (Format.JSON, Format.JSONL)
    transform = Transform(reading.shape, opened=open_record if is_json else decode_record)
    columns = _columns(reading, dataset, span)
    bom = query.format is Format.CSV if query.bom is None else query.bom
    match query.format:
        case Format.JSON:
            return JsonWriter(transform, bom=bom)
        case Format.JSONL:
            return JsonLinesWriter(transform, bom=bom)
        case Format.HTML:
            return HtmlWriter(transform, columns=columns, bom=bom)
        case Format.XLSX:
            return XlsxWriter(transform, columns=columns)
        case Format.XML:
            return XmlWriter(transform, bom=bom, root=query.xml_root, row=query.xml_row)
        case Format.CSV:
            return CsvWriter(
                transform,
                columns=columns,
                bom=bom,
                delimiter=query.delimiter,
                skip_header_row=query.skip_header_row,
            )
        case Format.RSS:
            return RssWriter(
                transform,
                bom=bom,
                title=query.feed_title or f"Dataset {dataset.name or dataset.id}",
                description=query.feed_description or f'Items in dataset with id "{dataset.id}".',
            )


def _columns(reading: Reading, dataset: Storage, span: Span) -> Columns:
    """What is remembered is in the order of the items, and of all of them as they are."""
    is_whole = span == Span(0, dataset.item_count)
    if is_whole and reading.shape.is_identity and dataset.columns is not None:
        return Columns.remembered(dataset.columns)
    renaming = reading.shape.renaming
    return Columns(None if renaming is None else tuple(output for _, output in renaming))
