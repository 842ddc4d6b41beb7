"""What an engine answers in Arrow -> what Ibis hands on, in the types of the expression."""

from typing import Any

import ibis
import pandas as pd
import pyarrow as pa
from ibis.formats.pandas import PandasData


def typed(answer: pa.Table, expression: ibis.Table) -> pa.Table:
    """Return the answer in the expression's types. Raises ArrowInvalid where a value is lost."""
    schema = expression.schema().to_pyarrow()
    columns = [
        column.cast(field.type) for column, field in zip(answer.columns, schema, strict=True)
    ]
    return pa.table(
        columns, schema=pa.schema([field.with_nullable(nullable=True) for field in schema])
    )


def frame(answer: pa.Table, expression: ibis.Table) -> Any:
    """Return a typed answer in pandas as Ibis's DuckDB engine does: integers stay exact."""
    columns = {
        name: column.to_pylist() if column.null_count else column.to_pandas()
        for name, column in zip(answer.column_names, answer.columns, strict=True)
    }
    return PandasData.convert_table(pd.DataFrame(columns), expression.schema())
