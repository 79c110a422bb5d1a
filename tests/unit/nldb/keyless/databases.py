"""Three small databases that have nothing to do with the one that the matcher is judged by."""

import sqlite3

from bench.nldb.databases import read_catalog, read_samples
from bench.nldb.settling import settled

from stepwell.nldb.keyless.matcher import Outcome, Understood, understand
from stepwell.nldb.keyless.world import World
from stepwell.nldb.link.values import ValueIndex
from stepwell.nldb.model import open_access
from stepwell.nldb.plan.sql import compile_plan

SHOP = """
CREATE TABLE categories (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE suppliers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, country TEXT);
CREATE TABLE products (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, category_id INTEGER REFERENCES categories (id),
    supplier_id INTEGER REFERENCES suppliers (id), unit_price NUMERIC(10, 2) NOT NULL,
    weight_kg REAL, discontinued BOOLEAN NOT NULL DEFAULT 0);
CREATE TABLE customers (
    id INTEGER PRIMARY KEY, first_name TEXT NOT NULL, last_name TEXT NOT NULL, email TEXT,
    city TEXT, country TEXT, created_at DATETIME NOT NULL);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id),
    order_date DATE NOT NULL, shipped_date DATE, status TEXT NOT NULL, ship_city TEXT);
CREATE TABLE order_items (
    id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders (id),
    product_id INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL, unit_price NUMERIC(10, 2) NOT NULL);
INSERT INTO categories VALUES (1, 'Tea'), (2, 'Coffee'), (3, 'Cups'), (4, 'Gift Sets');
INSERT INTO suppliers VALUES (1, 'Northwind', 'Norway'), (2, 'Leaf and Bean', 'India');
INSERT INTO products VALUES
    (1, 'Green Dragon', 1, 2, 8.50, 0.1, 0), (2, 'Earl Grey', 1, 2, 6.00, 0.1, 0),
    (3, 'Espresso Roast', 2, 1, 12.00, 0.5, 0), (4, 'Blue Mug', 3, 1, 9.00, 0.4, 1),
    (5, 'Tasting Box', NULL, 2, 30.00, 1.2, 0);
INSERT INTO customers VALUES
    (1, 'Ada', 'Berg', 'ada@example.org', 'Oslo', 'Norway', '2024-01-05 10:00:00'),
    (2, 'Ben', 'Carter', 'ben@example.org', 'Leeds', 'United Kingdom', '2024-03-01 09:00:00'),
    (3, 'Ada', 'Lund', NULL, 'Bergen', 'Norway', '2025-02-01 08:00:00'),
    (4, 'Chloe', 'Dubois', 'chloe@example.org', 'Paris', 'France', '2025-06-01 08:00:00');
INSERT INTO orders VALUES
    (1, 1, '2024-02-01', '2024-02-03', 'shipped', 'Oslo'), (2, 1, '2024-05-01', NULL, 'cancelled', 'Oslo'),
    (3, 2, '2024-05-20', '2024-05-22', 'shipped', 'York'), (4, 3, '2025-03-01', '2025-03-04', 'shipped', 'Bergen'),
    (5, 2, '2025-04-01', NULL, 'open', 'Leeds');
INSERT INTO order_items VALUES
    (1, 1, 1, 2, 8.50), (2, 1, 2, 1, 6.00), (3, 2, 3, 1, 12.00), (4, 3, 3, 4, 11.00),
    (5, 4, 4, 2, 9.00), (6, 5, 2, 10, 5.50), (7, 5, 1, 1, 8.50);
"""

STAFF = """
CREATE TABLE departments (
    dept_id INTEGER PRIMARY KEY, dept_name TEXT NOT NULL, location TEXT, budget NUMERIC(12, 2));
CREATE TABLE employees (
    emp_id INTEGER PRIMARY KEY, full_name TEXT NOT NULL, job_title TEXT, salary NUMERIC(10, 2),
    hire_date DATE, birth_date DATE, dept_id INTEGER REFERENCES departments (dept_id),
    manager_id INTEGER REFERENCES employees (emp_id));
CREATE TABLE projects (
    project_id INTEGER PRIMARY KEY, title TEXT NOT NULL, start_date DATE, end_date DATE,
    lead_id INTEGER REFERENCES employees (emp_id));
CREATE TABLE assignments (
    project_id INTEGER NOT NULL REFERENCES projects (project_id),
    emp_id INTEGER NOT NULL REFERENCES employees (emp_id), PRIMARY KEY (project_id, emp_id));
INSERT INTO departments VALUES (1, 'Research', 'Berlin', 500000), (2, 'Sales', 'Madrid', 300000), (3, 'Legal', 'Berlin', 90000);
INSERT INTO employees VALUES
    (1, 'Rosa Iglesias', 'Director', 120000, '2015-04-01', '1970-05-05', 1, NULL),
    (2, 'Tom Okafor', 'Engineer', 70000, '2019-09-01', '1990-02-02', 1, 1),
    (3, 'Mia Chen', 'Engineer', 82000, '2021-01-15', '1988-11-30', 1, 1),
    (4, 'Lars Holm', 'Account Manager', 65000, '2018-06-01', '1985-07-07', 2, 1),
    (5, 'Ines Duarte', 'Account Manager', 58000, '2023-02-01', '1996-01-20', 2, 4);
INSERT INTO projects VALUES (1, 'Apollo', '2022-01-01', NULL, 2), (2, 'Borealis', '2023-05-01', '2024-02-01', 3), (3, 'Cumulus', '2024-03-01', NULL, 2);
INSERT INTO assignments VALUES (1, 2), (1, 3), (2, 3), (2, 5);
"""

LIBRARY = """
CREATE TABLE author (author_id INTEGER PRIMARY KEY, name TEXT NOT NULL, country TEXT, born INTEGER);
CREATE TABLE book (
    book_id INTEGER PRIMARY KEY, title TEXT NOT NULL, author_id INTEGER REFERENCES author (author_id),
    genre TEXT, pages INTEGER, published_year INTEGER);
CREATE TABLE member (
    member_id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, joined_on DATE, city TEXT);
CREATE TABLE loan (
    loan_id INTEGER PRIMARY KEY, book_id INTEGER NOT NULL REFERENCES book (book_id),
    member_id INTEGER NOT NULL REFERENCES member (member_id), loaned_on DATE NOT NULL, returned_on DATE);
INSERT INTO author VALUES (1, 'Ursula Marsh', 'Ireland', 1950), (2, 'Kenji Ono', 'Japan', 1971), (3, 'Paula Vidal', 'Chile', 1968);
INSERT INTO book VALUES
    (1, 'The Salt Road', 1, 'Fantasy', 320, 1999), (2, 'Night Ferry', 2, 'Crime', 280, 2010),
    (3, 'Paper Birds', 2, 'Poetry', 90, 2015), (4, 'Quiet Orchard', 1, 'Fantasy', 410, 2004);
INSERT INTO member VALUES
    (1, 'Olive Grant', 'olive@example.org', '2020-01-10', 'Cork'), (2, 'Pim de Vries', NULL, '2021-07-01', 'Delft'),
    (3, 'Quinn Abbott', 'quinn@example.org', '2023-03-03', 'Cork');
INSERT INTO loan VALUES
    (1, 1, 1, '2024-01-02', '2024-01-20'), (2, 2, 1, '2024-02-02', NULL), (3, 4, 2, '2024-02-10', '2024-03-01'),
    (4, 1, 2, '2024-03-05', NULL);
"""


def database(ddl: str) -> sqlite3.Connection:
    """The database in memory."""
    made = sqlite3.connect(":memory:")
    made.executescript(ddl)
    return made


def world(made: sqlite3.Connection) -> World:
    """All of it, as an asker who may read everything sees it."""
    known = read_catalog(made)
    return World(known, open_access(known), ValueIndex(read_samples(made, known)))


def understood(question: str, made: sqlite3.Connection) -> Outcome:
    """What the matcher says, where readings that have the same answer are one."""
    known = world(made)
    return settled(understand(question, known), known, made)


def rows(question: str, made: sqlite3.Connection) -> list[tuple[object, ...]]:
    """The answer to a question that must be understood, in an order of its own."""
    outcome = understood(question, made)
    assert isinstance(outcome, Understood), outcome
    compiled = compile_plan(outcome.plan, read_catalog(made))
    return sorted(made.execute(compiled.sql, compiled.parameters).fetchall(), key=repr)
