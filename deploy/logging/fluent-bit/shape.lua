-- What a record has when it leaves: the line as it was written (log), the labels (namespace, app,
-- container, level) and the structured metadata (pod, node, pipeline, stream, run).

local LEVELS = {
    trace = "trace", debug = "debug", info = "info", warn = "warn", warning = "warn",
    error = "error", err = "error", critical = "error", fatal = "error", panic = "error",
}

-- A run's summary on stdout has an outcome instead of a level.
local OUTCOMES = { failed = "error", fenced = "warn", skipped = "info", stopped = "info", success = "info" }

-- A label needs a small set of values, so what an application calls its level is mapped, never copied.
local function level_of(json, line)
    if type(json.outcome) == "string" and json.level == nil then
        return OUTCOMES[json.outcome] or "unknown"
    end
    local said = json.level
    if type(said) ~= "string" then
        said = line:match("level=\"?(%a+)")
    end
    return said and LEVELS[said:lower()] or "unknown"
end

local function text(value)
    if type(value) == "string" and value ~= "" then
        return value
    end
end

function shape(tag, timestamp, record)
    -- The file's name says whose line it is even while the API server does not answer.
    local pod, namespace, container = tag:match("%.containers%.([^_]+)_([^_]+)_(.+)%-%x+%.log$")
    local labels = record.kubernetes and record.kubernetes.labels or {}
    local json = type(record.json) == "table" and record.json or {}
    local line = record.log or ""
    return 2, timestamp, {
        log = line,
        namespace = namespace,
        app = labels["app.kubernetes.io/name"] or container,
        container = container,
        level = level_of(json, line),
        pod = pod,
        node = os.getenv("NODE_NAME"),
        pipeline = text(json.pipeline),
        stream = text(json.stream),
        run = text(json.run),
    }
end
