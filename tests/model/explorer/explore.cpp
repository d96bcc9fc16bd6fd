#include <model/explorer/explore.hpp>

#include <model/explorer/execution.hpp>

#include <algorithm>
#include <utility>

namespace blitzio::model {

namespace {

void fill_in(Report& report, const Execution& execution, const Path& path) {
  report.has_failed = execution.has_failed();
  report.message = execution.message();
  report.schedule = path.text();
  for (const std::string& line : execution.trace()) report.trace += line + "\n";
}

}  // namespace

std::string Report::text() const {
  std::string text;
  if (has_failed) {
    text = message + "\nafter " + std::to_string(executions) +
           " executions; the steps of this one:\n" + trace +
           "to see them again: BLITZIO_MODEL_REPLAY=" + schedule + "\n";
  } else if (is_complete) {
    text = std::to_string(executions) + " executions" +
           (was_bounded ? ", more with more preemptions" : ", and there are no others");
  } else {
    text = "gave up after " + std::to_string(executions) + " executions";
  }
  return text;
}

Report replay(const std::function<void()>& scenario, const std::string& schedule,
              const Options& options) {
  Report report;
  Path path(options.preemptions_max, options.is_reduced);
  path.replay(schedule);
  Execution execution(options, path);
  execution.set_tracing(true);
  execution.run(scenario);
  report.executions = 1;
  fill_in(report, execution, path);
  return report;
}

Report explore(const std::function<void()>& scenario, const Options& options) {
  Report report;
  Path path(options.preemptions_max, options.is_reduced);
  Execution execution(options, path);
  do {
    execution.run(scenario);
    ++report.executions;
    if (execution.has_failed()) {
      // Once more, now with a trace.
      const std::string message = execution.message();
      execution.set_tracing(true);
      execution.run(scenario);
      fill_in(report, execution, path);
      if (!report.has_failed) report.message = message + " (but not when it was repeated)";
      report.has_failed = true;
      return report;
    }
    if (!path.advance()) {
      report.is_complete = true;
      break;
    }
  } while (report.executions < options.executions_max);
  report.was_bounded = path.was_bounded();
  return report;
}

std::vector<Mutation> mutate(const std::function<void()>& scenario, const Options& options) {
  std::vector<Weakening> sites;
  {
    Path path(options.preemptions_max, options.is_reduced);
    Execution execution(options, path);
    execution.collect_sites(&sites);
    for (std::uint64_t i = 0; i < options.executions_max; ++i) {
      execution.run(scenario);
      if (execution.has_failed() || !path.advance()) break;
    }
  }
  std::vector<Mutation> mutations;
  for (Weakening& site : sites) {
    if (site.file.find("/src/blitzio/") == std::string::npos) continue;
    for (const std::memory_order to : weaker(site.access, site.from)) {
      Mutation mutation;
      mutation.weakening = site;
      mutation.weakening.to = to;
      Options weakened = options;
      weakened.weakenings.push_back(mutation.weakening);
      const Report report = explore(scenario, weakened);
      mutation.is_found = report.has_failed;
      mutation.message = report.message;
      mutations.push_back(std::move(mutation));
    }
  }
  return mutations;
}

}  // namespace blitzio::model
