"""What `sverka sources check` says of a file that can be read: what was found, and what is held."""

from __future__ import annotations

from resources.crm.files.layout import listed, quoted
from resources.crm.files.options import TableFiles
from resources.crm.files.rows import FileRows, Survey


def noticed(table: TableFiles, rows: FileRows, survey: Survey) -> tuple[list[str], list[str]]:
    """Remarks on the file, its name first; and what of it is held, empty where nothing is."""
    opened = rows.opened
    header, marks = opened.header, opened.marks
    lines = f" {header.last}" if header.first == header.last else f"s {header.first} to {header.last}"
    notes = [
        f"{rows.name}: {opened.form}",
        f"header in {opened.unit}{lines} with {len(opened.columns)} columns",
        f"{survey.ids} of {table.entity}",
    ]
    if marks.hidden_rows:
        how = "hidden in Excel or filtered out" if marks.filtered else "hidden in Excel"
        what = "are left out" if table.leave_out_rows else "are read too"
        notes.append(f"{len(marks.hidden_rows)} rows {how} ({listed(marks.hidden_rows)}) {what}")
    if hidden := [opened.columns[n] for n in sorted(marks.hidden_columns) if n < len(opened.columns)]:
        what = "are left out" if table.leave_out_columns else "are read too"
        notes.append(f"hidden columns {quoted(hidden)} {what}")
    if merged := rows.sheet.merged_unnamed():
        notes.append(f"cells of {quoted(merged)} are merged downwards, which `merged_down` does not name")
    counted = (
        (survey.totals, "rows of totals passed over"),
        (survey.groups, "headings of groups"),
        (survey.headers, "repeated headers passed over"),
    )
    notes += [f"{number} {what}" for number, what in counted if number]
    notes += survey.remarks
    apart = (
        (survey.keyless, "rows without a key"),
        (survey.doubtful, "rows with cells that cannot be trusted"),
        (len(survey.contested), "ids in several rows that differ"),
        (len(survey.unreadable), "rows that cannot be read"),
    )
    return notes, [f"held: {number} {what}" for number, what in apart if number]
