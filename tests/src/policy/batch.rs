//! CronJobs, Jobs and databases: what keeps them from running twice, for ever, or not at all.

use serde_json::{Value, json};

use super::objects::{Objects, describe, is, list, text, whole};
use super::{Findings, Rule};

pub(crate) const RULES: &[Rule] = &[
    Rule { name: "cronjob-schedule", check: schedule },
    Rule { name: "cronjob-overlap", check: overlap },
    Rule { name: "cronjob-deadline", check: deadline },
    Rule { name: "job-failures", check: failures },
    Rule { name: "job-history", check: history },
    Rule { name: "stateful", check: stateful },
    Rule { name: "autoscaling", check: autoscaling },
];

/// The exit codes that another try cannot mend: setting, data or schema, defect, rights.
const FINAL_EXITS: &[i64] = &[64, 65, 70, 77];

/// Seconds between two runs of `*/n * * * *`; other forms are not used here.
fn period(cronjob: &Value) -> Option<i64> {
    let mut fields = text(cronjob, "/spec/schedule").split(' ');
    let minutes: i64 = fields.next()?.strip_prefix("*/")?.parse().ok()?;
    (fields.clone().count() == 4 && fields.all(|field| field == "*")).then_some(minutes * 60)
}

fn schedule(objects: &Objects, findings: &mut Findings) {
    for cronjob in objects.of("CronJob") {
        let name = describe(cronjob);
        findings.expect(
            period(cronjob).is_some(),
            &name,
            format!(
                "schedule {:?} is not of the form */n * * * *",
                text(cronjob, "/spec/schedule")
            ),
        );
        findings.expect(
            text(cronjob, "/spec/timeZone") == "Etc/UTC",
            &name,
            "timeZone is not Etc/UTC: the schedule depends on the controller's clock zone",
        );
        let catch_up = whole(cronjob, "/spec/startingDeadlineSeconds");
        findings.expect(
            catch_up.is_some_and(|seconds| (60..=240).contains(&seconds)),
            &name,
            format!("startingDeadlineSeconds is {catch_up:?}; 60 to 240 catches up once with a late start"),
        );
        let suspended = is(cronjob.pointer("/spec/suspend"), &json!(true));
        findings.expect(!suspended, &name, "is shipped suspended");
    }
}

fn overlap(objects: &Objects, findings: &mut Findings) {
    for cronjob in objects.of("CronJob") {
        let name = describe(cronjob);
        let forbid = text(cronjob, "/spec/concurrencyPolicy") == "Forbid";
        findings.expect(forbid, &name, "concurrencyPolicy is not Forbid");
        let replacement = text(cronjob, "/spec/jobTemplate/spec/podReplacementPolicy");
        findings.expect(
            replacement == "Failed",
            &name,
            "podReplacementPolicy is not Failed: a pod that is still ending would get a sibling",
        );
        for field in ["completions", "parallelism"] {
            let one = whole(cronjob, &format!("/spec/jobTemplate/spec/{field}")).unwrap_or(1) == 1;
            findings.expect(one, &name, format!("{field} is not 1"));
        }
    }
}

/// With Forbid, a run that hangs would stop the schedule for ever.
fn deadline(objects: &Objects, findings: &mut Findings) {
    for cronjob in objects.of("CronJob") {
        let name = describe(cronjob);
        let job = &cronjob["spec"]["jobTemplate"]["spec"];
        let limit = whole(job, "/activeDeadlineSeconds");
        let fits =
            matches!((limit, period(cronjob)), (Some(limit), Some(period)) if limit < period);
        findings.expect(
            fits,
            &name,
            format!("activeDeadlineSeconds {limit:?} is not below the period"),
        );
        let grace = whole(job, "/template/spec/terminationGracePeriodSeconds").unwrap_or(0);
        findings.expect(grace >= 30, &name, format!("{grace} s are too few to end an open batch"));
    }
    for job in objects.of("Job") {
        let limited = whole(job, "/spec/activeDeadlineSeconds").is_some();
        findings.expect(limited, &describe(job), "no activeDeadlineSeconds");
    }
}

fn failures(objects: &Objects, findings: &mut Findings) {
    let jobs = objects
        .of("CronJob")
        .map(|one| (one, &one["spec"]["jobTemplate"]["spec"]))
        .chain(objects.of("Job").map(|one| (one, &one["spec"])));
    for (owner, job) in jobs {
        let name = describe(owner);
        let tries = whole(job, "/backoffLimit");
        findings.expect(tries.is_some(), &name, "no backoffLimit: six tries by default");
        let never = text(job, "/template/spec/restartPolicy") == "Never";
        findings.expect(
            never,
            &name,
            "restartPolicy is not Never: podFailurePolicy and the failed pods' logs need it",
        );
        let rules = list(job.pointer("/podFailurePolicy/rules"));
        let failing: Vec<i64> = rules
            .iter()
            .filter(|rule| rule["action"] == "FailJob" && rule["onExitCodes"]["operator"] == "In")
            .flat_map(|rule| {
                list(rule.pointer("/onExitCodes/values")).iter().filter_map(Value::as_i64)
            })
            .collect();
        for code in FINAL_EXITS {
            findings.expect(
                failing.contains(code),
                &name,
                format!("exit code {code} does not fail the Job at once"),
            );
        }
        findings.expect(
            !failing.contains(&75),
            &name,
            "exit code 75 is temporary and must be tried again",
        );
        let disruption = rules.iter().any(|rule| {
            rule["action"] == "Ignore"
                && list(rule.get("onPodConditions"))
                    .iter()
                    .any(|one| one["type"] == "DisruptionTarget")
        });
        findings.expect(
            disruption,
            &name,
            "a drained node counts as a failure: Ignore DisruptionTarget",
        );
    }
}

/// The failure ratio over an hour, and people, need to see what happened.
fn history(objects: &Objects, findings: &mut Findings) {
    for cronjob in objects.of("CronJob") {
        let name = describe(cronjob);
        for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
            let kept = whole(cronjob, &format!("/spec/{field}"));
            findings.expect(
                kept.is_some_and(|kept| kept >= 3),
                &name,
                format!("{field} is {kept:?}; keep 3"),
            );
        }
        let ttl = whole(cronjob, "/spec/jobTemplate/spec/ttlSecondsAfterFinished");
        findings.expect(
            ttl.is_some_and(|ttl| (3600..=86_400).contains(&ttl)),
            &name,
            format!("ttlSecondsAfterFinished is {ttl:?}; an hour to a day"),
        );
    }
}

fn stateful(objects: &Objects, findings: &mut Findings) {
    for set in objects.of("StatefulSet") {
        let (name, namespace) = (describe(set), text(set, "/metadata/namespace"));
        let service = objects.find("Service", namespace, text(set, "/spec/serviceName"));
        let headless = service.is_some_and(|service| text(service, "/spec/clusterIP") == "None");
        findings.expect(headless, &name, "serviceName is not a headless Service of this render");
        findings.expect(
            whole(set, "/spec/replicas") == Some(1),
            &name,
            "replicas is not 1: each would be alone with its data",
        );
        for event in ["whenDeleted", "whenScaled"] {
            let kept = text(set, &format!("/spec/persistentVolumeClaimRetentionPolicy/{event}"));
            findings.expect(kept == "Retain", &name, format!("{event} does not retain the volume"));
        }
        for claim in list(set.pointer("/spec/volumeClaimTemplates")) {
            let once = is(claim.pointer("/spec/accessModes"), &json!(["ReadWriteOnce"]))
                || is(claim.pointer("/spec/accessModes"), &json!(["ReadWriteOncePod"]));
            findings.expect(once, &name, "its volume can be mounted by more than one node");
        }
    }
    for deployment in objects.of("Deployment") {
        let claims = list(deployment.pointer("/spec/template/spec/volumes"))
            .iter()
            .any(|volume| volume.get("persistentVolumeClaim").is_some());
        let recreate = text(deployment, "/spec/strategy/type") == "Recreate";
        findings.expect(
            !claims || recreate,
            &describe(deployment),
            "has a volume and no strategy Recreate: the new pod waits for the old one's volume for ever",
        );
    }
    for budget in objects.of("PodDisruptionBudget") {
        let blocks = budget.pointer("/spec/minAvailable").is_some();
        findings.expect(
            !blocks,
            &describe(budget),
            "minAvailable blocks a drain; use maxUnavailable 1",
        );
    }
}

fn autoscaling(objects: &Objects, findings: &mut Findings) {
    for scaler in objects.of("HorizontalPodAutoscaler") {
        let name = describe(scaler);
        let reference = &scaler["spec"]["scaleTargetRef"];
        let versioned = !text(reference, "/apiVersion").is_empty();
        findings.expect(versioned, &name, "scaleTargetRef has no apiVersion");
        let target = objects.find(
            text(reference, "/kind"),
            text(scaler, "/metadata/namespace"),
            text(reference, "/name"),
        );
        let Some(target) = target else {
            findings.add(name, "scales nothing of this render");
            continue;
        };
        let owned = target.pointer("/spec/replicas").is_some();
        findings.expect(!owned, &describe(target), "sets replicas, which its autoscaler owns");
    }
}
