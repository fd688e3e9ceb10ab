"""The tables. MIGRATIONS[n] takes a file from user_version n to n + 1; rows are only ever appended.

Ids of models, datasets, requests and uploads are their tenant's own; those of jobs and calibrations
are the server's and there is one of each. What points at a model points at tenant and id.

Times are microseconds since 1970 UTC. `sequence` orders a collection from its oldest member on.
"""

from __future__ import annotations

_FIRST = (
    """
    CREATE TABLE models (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        display_name TEXT NOT NULL,
        format TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        inputs TEXT NOT NULL,
        outputs TEXT NOT NULL,
        parameter_count INTEGER NOT NULL,
        parameter_bytes INTEGER NOT NULL,
        create_time INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE versions (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        model_id TEXT NOT NULL REFERENCES models (id) ON DELETE CASCADE,
        version INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        inputs TEXT NOT NULL,
        outputs TEXT NOT NULL,
        job_id TEXT,
        calibration_id TEXT,
        train_job_id TEXT,
        report TEXT,
        create_time INTEGER NOT NULL,
        UNIQUE (model_id, version)
    ) STRICT
    """,
    """
    CREATE TABLE datasets (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        format TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        sample_count INTEGER NOT NULL,
        arrays TEXT NOT NULL,
        create_time INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE calibrations (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        model_id TEXT NOT NULL REFERENCES models (id) ON DELETE CASCADE,
        sha256 TEXT NOT NULL,
        profile BLOB NOT NULL,
        create_time INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE jobs (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        state TEXT NOT NULL,
        stage TEXT,
        progress REAL NOT NULL,
        model_id TEXT NOT NULL,
        calibration_id TEXT NOT NULL,
        dataset_id TEXT,
        evaluation_dataset_id TEXT,
        train_job_id TEXT,
        config TEXT,
        last_sequence INTEGER NOT NULL,
        create_time INTEGER NOT NULL,
        start_time INTEGER,
        end_time INTEGER,
        failure TEXT,
        result TEXT,
        result_sha256 TEXT
    ) STRICT
    """,
    "CREATE INDEX jobs_by_state ON jobs (state, sequence)",
    """
    CREATE TABLE job_events (
        job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        sequence INTEGER NOT NULL,
        time INTEGER NOT NULL,
        state TEXT NOT NULL,
        stage TEXT,
        progress REAL NOT NULL,
        epoch INTEGER NOT NULL,
        step INTEGER NOT NULL,
        total_steps INTEGER NOT NULL,
        task_loss REAL,
        quantization_loss REAL,
        learning_rate REAL,
        accuracy REAL,
        message TEXT NOT NULL,
        PRIMARY KEY (job_id, sequence)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE requests (
        method TEXT NOT NULL,
        request_id TEXT NOT NULL,
        body_sha256 TEXT NOT NULL,
        result TEXT NOT NULL,
        create_time INTEGER NOT NULL,
        PRIMARY KEY (method, request_id)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE uploads (
        request_id TEXT PRIMARY KEY,
        method TEXT NOT NULL,
        body_sha256 TEXT NOT NULL,
        total_bytes INTEGER NOT NULL,
        create_time INTEGER NOT NULL,
        expire_time INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)

_CALIBRATION_STATISTICS = (
    "ALTER TABLE calibrations ADD COLUMN bases TEXT NOT NULL DEFAULT '[]'",
    # A table of its own, because lists of calibrations read whole rows.
    """
    CREATE TABLE calibration_statistics (
        calibration_id TEXT PRIMARY KEY REFERENCES calibrations (id) ON DELETE CASCADE,
        sha256 TEXT NOT NULL,
        profile BLOB NOT NULL
    ) STRICT
    """,
)

_PRECISION = ("ALTER TABLE jobs ADD COLUMN precision TEXT",)

_TRAINING_FIGURES = (
    "ALTER TABLE job_events ADD COLUMN feature_loss REAL",
    "ALTER TABLE job_events ADD COLUMN agreement REAL",
)

_RESUMING = ("ALTER TABLE jobs ADD COLUMN saves_checkpoint INTEGER NOT NULL DEFAULT 0",)

_PREPROCESSING = (
    "ALTER TABLE jobs ADD COLUMN preprocessing TEXT",
    "ALTER TABLE jobs ADD COLUMN augmentation TEXT",
)

# What a conversion does to weights was all that its config had; now it is one part of it.
_CONVERSION_CONFIG = (
    """
    UPDATE jobs SET config = json_object('post_training', json(config))
    WHERE kind = 'convert' AND config IS NOT NULL
    """,
)

_REPORTS = (
    "ALTER TABLE jobs ADD COLUMN measurements TEXT",
    """
    CREATE TABLE job_curves (
        job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
        curve TEXT NOT NULL
    ) STRICT
    """,
)

# What a conversion measures had a column of its own; now it is a part of the config too.
_CONVERSION_MEASUREMENTS = (
    """
    UPDATE jobs
    SET config = json_set(coalesce(config, '{}'), '$.measurements', json(measurements))
    WHERE measurements IS NOT NULL
    """,
    "ALTER TABLE jobs DROP COLUMN measurements",
)

_HELD_OUT = ("ALTER TABLE jobs ADD COLUMN held_out TEXT",)

_GARBAGE = (
    """
    CREATE TABLE garbage (
        sha256 TEXT PRIMARY KEY,
        since INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)

_UNLOADED = (
    """
    CREATE TABLE unloaded_models (
        model_id TEXT PRIMARY KEY REFERENCES models (id) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID
    """,
)

_MODEL_WARNINGS = ("ALTER TABLE models ADD COLUMN warnings TEXT NOT NULL DEFAULT '[]'",)

# `attempt` counts how often a job was begun, and is what a worker's writes are held to; `tries`
# counts the attempts in a row that got no further than `reached`.
_ATTEMPTS = (
    "ALTER TABLE jobs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN tries INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN reached REAL NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN start_progress REAL NOT NULL DEFAULT 0",
)

_UNIQUE_WITHIN_TENANTS = (
    "versions",
    "calibrations",
    "unloaded_models",
    "models",
    "datasets",
    "requests",
    "uploads",
)

# SQLite cannot change what is unique in a table, so these are made anew; foreign keys are off
# meanwhile, or dropping a table would delete what points at it.
_TENANTS = (
    """
    CREATE TABLE tenant_models (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        display_name TEXT NOT NULL,
        format TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        inputs TEXT NOT NULL,
        outputs TEXT NOT NULL,
        parameter_count INTEGER NOT NULL,
        parameter_bytes INTEGER NOT NULL,
        create_time INTEGER NOT NULL,
        warnings TEXT NOT NULL DEFAULT '[]',
        UNIQUE (tenant, id)
    ) STRICT
    """,
    "INSERT INTO tenant_models SELECT sequence, 'default', id, display_name, format, sha256,"
    " size_bytes, inputs, outputs, parameter_count, parameter_bytes, create_time, warnings"
    " FROM models",
    """
    CREATE TABLE tenant_versions (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        model_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        inputs TEXT NOT NULL,
        outputs TEXT NOT NULL,
        job_id TEXT,
        calibration_id TEXT,
        train_job_id TEXT,
        report TEXT,
        create_time INTEGER NOT NULL,
        UNIQUE (tenant, model_id, version),
        FOREIGN KEY (tenant, model_id) REFERENCES models (tenant, id) ON DELETE CASCADE
    ) STRICT
    """,
    "INSERT INTO tenant_versions SELECT sequence, 'default', model_id, version, sha256, size_bytes,"
    " inputs, outputs, job_id, calibration_id, train_job_id, report, create_time FROM versions",
    """
    CREATE TABLE tenant_datasets (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        format TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        sample_count INTEGER NOT NULL,
        arrays TEXT NOT NULL,
        create_time INTEGER NOT NULL,
        UNIQUE (tenant, id)
    ) STRICT
    """,
    "INSERT INTO tenant_datasets SELECT sequence, 'default', id, format, sha256, size_bytes,"
    " sample_count, arrays, create_time FROM datasets",
    """
    CREATE TABLE tenant_calibrations (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        id TEXT NOT NULL UNIQUE,
        model_id TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        profile BLOB NOT NULL,
        create_time INTEGER NOT NULL,
        bases TEXT NOT NULL,
        FOREIGN KEY (tenant, model_id) REFERENCES models (tenant, id) ON DELETE CASCADE
    ) STRICT
    """,
    "INSERT INTO tenant_calibrations SELECT sequence, 'default', id, model_id, sha256, profile,"
    " create_time, bases FROM calibrations",
    """
    CREATE TABLE tenant_unloaded_models (
        tenant TEXT NOT NULL,
        model_id TEXT NOT NULL,
        PRIMARY KEY (tenant, model_id),
        FOREIGN KEY (tenant, model_id) REFERENCES models (tenant, id) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID
    """,
    "INSERT INTO tenant_unloaded_models SELECT 'default', model_id FROM unloaded_models",
    """
    CREATE TABLE tenant_requests (
        tenant TEXT NOT NULL,
        method TEXT NOT NULL,
        request_id TEXT NOT NULL,
        body_sha256 TEXT NOT NULL,
        result TEXT NOT NULL,
        create_time INTEGER NOT NULL,
        PRIMARY KEY (tenant, method, request_id)
    ) STRICT, WITHOUT ROWID
    """,
    "INSERT INTO tenant_requests SELECT 'default', method, request_id, body_sha256, result,"
    " create_time FROM requests",
    """
    CREATE TABLE tenant_uploads (
        tenant TEXT NOT NULL,
        request_id TEXT NOT NULL,
        method TEXT NOT NULL,
        body_sha256 TEXT NOT NULL,
        total_bytes INTEGER NOT NULL,
        create_time INTEGER NOT NULL,
        expire_time INTEGER NOT NULL,
        PRIMARY KEY (tenant, request_id)
    ) STRICT, WITHOUT ROWID
    """,
    "INSERT INTO tenant_uploads SELECT 'default', request_id, method, body_sha256, total_bytes,"
    " create_time, expire_time FROM uploads",
    *(
        statement
        for table in _UNIQUE_WITHIN_TENANTS
        for statement in (
            f"DROP TABLE {table}",
            f"ALTER TABLE tenant_{table} RENAME TO {table}",
        )
    ),
    "ALTER TABLE jobs ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default'",
    "ALTER TABLE jobs ADD COLUMN result_bytes INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX jobs_by_tenant ON jobs (tenant, sequence)",
)

# Nothing deletes a version while an alias points at it: the first table has no cascade.
_ALIASES = (
    """
    CREATE TABLE aliases (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        model_id TEXT NOT NULL,
        id TEXT NOT NULL,
        version INTEGER NOT NULL,
        etag TEXT NOT NULL,
        create_time INTEGER NOT NULL,
        update_time INTEGER NOT NULL,
        UNIQUE (tenant, model_id, id),
        FOREIGN KEY (tenant, model_id, version) REFERENCES versions (tenant, model_id, version)
    ) STRICT
    """,
    """
    CREATE TABLE alias_moves (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        model_id TEXT NOT NULL,
        alias_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        previous_version INTEGER,
        is_rollback INTEGER NOT NULL,
        time INTEGER NOT NULL,
        caller TEXT NOT NULL,
        max_drop REAL,
        measured_drop REAL,
        FOREIGN KEY (tenant, model_id, alias_id) REFERENCES aliases (tenant, model_id, id)
            ON DELETE CASCADE
    ) STRICT
    """,
    "CREATE INDEX alias_moves_by_alias ON alias_moves (tenant, model_id, alias_id, sequence)",
)

# The files of a dataset in order, one or several.
_DATASET_FILES = (
    """
    CREATE TABLE dataset_files (
        tenant TEXT NOT NULL,
        dataset_id TEXT NOT NULL,
        place INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        PRIMARY KEY (tenant, dataset_id, place),
        FOREIGN KEY (tenant, dataset_id) REFERENCES datasets (tenant, id) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID
    """,
    "INSERT INTO dataset_files SELECT tenant, id, 0, sha256, size_bytes FROM datasets",
)

# When the jobs of a tenant last had their turn, in turns of all of them. Times of jobs do not say:
# a tenant can delete its jobs, and the clock can be put back.
_TURNS = (
    """
    CREATE TABLE job_turns (
        tenant TEXT PRIMARY KEY,
        last INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "INSERT INTO job_turns SELECT tenant, ROW_NUMBER() OVER (ORDER BY MAX(start_time)) FROM jobs"
    " WHERE start_time IS NOT NULL GROUP BY tenant",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    _FIRST,
    _CALIBRATION_STATISTICS,
    _PRECISION,
    _TRAINING_FIGURES,
    _RESUMING,
    _PREPROCESSING,
    _CONVERSION_CONFIG,
    _REPORTS,
    _CONVERSION_MEASUREMENTS,
    _HELD_OUT,
    _GARBAGE,
    _UNLOADED,
    _MODEL_WARNINGS,
    _ATTEMPTS,
    _TENANTS,
    _ALIASES,
    _DATASET_FILES,
    _TURNS,
)
