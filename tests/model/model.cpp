#include <model/model.hpp>

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <regex>
#include <string>

namespace blitzio::model {

namespace {

/// Values that are addresses differ from run to run.
std::string without_addresses(const std::string& trace) {
  return std::regex_replace(trace, std::regex("0x[0-9a-f]{8,}"), "address");
}

std::string test_name() {
  const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
  return std::string(info->test_suite_name()) + "." + info->name();
}

void write_mutations(const std::string& folder, const std::vector<Mutation>& mutations) {
  const std::string path = folder + "/" + test_name();
  std::FILE* file = std::fopen(path.c_str(), "a");
  ASSERT_NE(file, nullptr) << path;
  for (const Mutation& mutation : mutations) {
    std::fprintf(file, "%s\t%s\t%s\t%s\n", mutation.is_found ? "found" : "survived",
                 mutation.weakening.text().c_str(), test_name().c_str(), mutation.message.c_str());
  }
  std::fclose(file);
}

}  // namespace

void expect_sound(const std::function<void()>& scenario, Options options) {
  if (std::getenv("BLITZIO_MODEL_DEEP") != nullptr) {
    ++options.preemptions_max;
    ++options.stale_reads_max;
    ++options.spurious_failures_max;
    options.executions_max *= 100;
  }
  if (const char* folder = std::getenv("BLITZIO_MODEL_MUTATE")) {
    write_mutations(folder, mutate(scenario, options));
    return;
  }
  if (const char* schedule = std::getenv("BLITZIO_MODEL_REPLAY")) {
    const Report report = replay(scenario, schedule, options);
    std::printf("%s%s\n", report.trace.c_str(), report.message.c_str());
    EXPECT_FALSE(report.has_failed);
    return;
  }
  const Report report = explore(scenario, options);
  EXPECT_FALSE(report.has_failed) << report.text();
  EXPECT_TRUE(report.has_failed || report.is_complete) << report.text();
  if (report.is_complete) std::printf("[ explored ] %s\n", report.text().c_str());
}

void expect_finds(std::string_view what, const std::function<void()>& scenario,
                  const Options& options) {
  const Report report = explore(scenario, options);
  EXPECT_TRUE(report.has_failed) << "nothing was found; " << report.text();
  if (!report.has_failed) return;
  EXPECT_NE(report.message.find(what), std::string::npos) << report.text();
  // What it found can be shown again.
  const Report again = replay(scenario, report.schedule, options);
  EXPECT_EQ(again.message, report.message);
  EXPECT_EQ(without_addresses(again.trace), without_addresses(report.trace));
}

}  // namespace blitzio::model
