-- Gives shape.lua what it finds on a cluster: the container's log file as the tag, and the labels.
dofile("/etc/fluent-bit/shape.lua")

function container(_, timestamp, record)
    local app = record["etl.app"] or "unknown"
    local pod = (record.container_name or app):gsub("^/", ""):gsub("_", "-")
    local tag = "docker.containers." .. pod .. "_etl-poc_" .. app .. "-0.log"
    return shape(tag, timestamp, {
        log = record.log,
        json = record,
        kubernetes = { labels = { ["app.kubernetes.io/name"] = app } },
    })
end
