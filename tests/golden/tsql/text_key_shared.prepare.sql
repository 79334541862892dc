-- 00 take the preparation lock
-- 01 create schema etl
-- 02 create the table of migrations
-- 03 migration 1: checkpoint, run ledger, quarantine
-- 04 migration 2: loads
-- 05 migration 3: the load of an entry of the quarantine
-- 06 create schema sales
-- 07 create target sales.or'ders "x"
-- 08 create the checkpoint of orders/public.orders

