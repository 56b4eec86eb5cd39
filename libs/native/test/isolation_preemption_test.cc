// What the kernel makes of the executors' settings when both lanes want one CPU without end. CPU time is compared
// within a run, so other load changes nothing about it.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <fstream>
#include <functional>
#include <string>

#include "isolation/cgroup.h"
#include "isolation/cpu_set.h"
#include "isolation/thread_isolation.h"
#include "isolation/wakeup_probe.h"

namespace interleave {
namespace {

constexpr int kAttemptsMax = 5;
constexpr std::int64_t kNsPerSecond = 1'000'000'000;

int LastCpu() {
  const CpuSet allowed;
  if (!allowed.ReadOf(0)) return 0;
  int cpu = CpuSet::kCpusMax - 1;
  while (cpu > 0 && !allowed.Has(cpu)) --cpu;
  return cpu;
}

std::int64_t CpuNs(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * kNsPerSecond + time.tv_nsec;
}

// A child that uses all of `cpu` with the settings of a lane.
pid_t Spin(Lane lane, int cpu, bool inOwnSession) {
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (inOwnSession) setsid();
  IsolateExecutor(lane, cpu);
  while (true) {
  }
}

// CPU time of the batch executor for each second of the live one, over half a second of the live one.
double BatchShare(bool inOwnSession) {
  const int cpu = LastCpu();
  const pid_t batch = Spin(Lane::kBatch, cpu, inOwnSession);
  const pid_t live = Spin(Lane::kRealtime, cpu, false);
  clockid_t batchClock = 0;
  clockid_t liveClock = 0;
  EXPECT_EQ(clock_getcpuclockid(batch, &batchClock), 0);
  EXPECT_EQ(clock_getcpuclockid(live, &liveClock), 0);
  usleep(200'000);  // both spin
  const std::int64_t batchStartNs = CpuNs(batchClock);
  const std::int64_t liveStartNs = CpuNs(liveClock);
  while (CpuNs(liveClock) - liveStartNs < kNsPerSecond / 2) usleep(10'000);
  const auto batchNs = static_cast<double>(CpuNs(batchClock) - batchStartNs);
  const auto liveNs = static_cast<double>(CpuNs(liveClock) - liveStartNs);
  for (const pid_t child : {batch, live}) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  return batchNs / liveNs;
}

// A CPU cgroup takes the place of autogroups. In a namespace the root of the hierarchy may be such a group.
bool AutogroupsAreOn() {
  char value = '0';
  std::ifstream("/proc/sys/kernel/sched_autogroup_enabled") >> value;
  if (value != '1' || access("/sys/fs/cgroup/cpu.weight", F_OK) == 0) return false;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const bool isCpu = line.find(":cpu") != std::string::npos && line.find(":cpuset") == std::string::npos;
    if (isCpu && !line.ends_with(":/")) return false;
  }
  return CpuGroupOf(kCgroupRoot, CgroupOf(getpid()).value_or("")).empty();
}

// Other programs may take the CPU for all of one attempt.
bool IsSeenOnce(const std::function<bool()>& attempt) {
  for (int i = 0; i < kAttemptsMax; ++i) {
    if (attempt()) return true;
  }
  return false;
}

TEST(Preemption, ABatchExecutorGivesWayToALiveOneInItsSession) {
  EXPECT_TRUE(IsSeenOnce([] { return BatchShare(false) < 0.2; }));
}

TEST(Preemption, ABatchExecutorInASessionOfItsOwnDoesNot) {
  if (!AutogroupsAreOn()) GTEST_SKIP() << "there are no autogroups here";
  EXPECT_TRUE(IsSeenOnce([] { return BatchShare(true) > 0.3; }));
}

TEST(WakeupProbe, TakesDelaysOfALiveExecutor) {
  const WakeupDelays measured = MeasureWakeups(LastCpu(), 20, 10 * kNsPerSecond);
  ASSERT_EQ(measured.delaysNs.size(), 20U);
  EXPECT_TRUE(std::is_sorted(measured.delaysNs.begin(), measured.delaysNs.end()));
  EXPECT_GE(measured.delaysNs.front(), 0);
  EXPECT_EQ(measured.tools.at(0).tool, "cpu-affinity");
  EXPECT_EQ(measured.tools.at(0).state, ToolState::kActive);
}

TEST(WakeupProbe, EndsAtItsTimeLimit) {
  EXPECT_LT(MeasureWakeups(LastCpu(), 100'000, kNsPerSecond / 10).delaysNs.size(), 100'000U);
}

}  // namespace
}  // namespace interleave
