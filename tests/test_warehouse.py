from __future__ import annotations

from resources.warehouse import Warehouse


def test_a_migrated_warehouse_is_left_alone(warehouse: Warehouse) -> None:
    assert warehouse.migrate() is False


def test_a_second_database_is_fresh(warehouse: Warehouse) -> None:
    assert warehouse.scalar("SELECT count(*) FROM ops.batch") == 0
