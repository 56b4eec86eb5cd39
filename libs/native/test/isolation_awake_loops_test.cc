#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "isolation/awake_loops.h"
#include "isolation/cpu_set.h"
#include "isolation/thread_isolation.h"

namespace interleave {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLong{300};
// Of no thread.
constexpr clockid_t kNoClock = 0;

// The last one, which most other programs are not on.
int SomeCpu() {
  const CpuSet allowed;
  EXPECT_TRUE(allowed.ReadOf(0));
  int found = -1;
  for (int cpu = 0; cpu < CpuSet::kCpusMax; ++cpu) {
    if (allowed.Has(cpu)) found = cpu;
  }
  return found;
}

std::uint64_t NsOf(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

// Works on a CPU, `work` at a time with pauses as long; without pauses where that is 0.
class Worker {
 public:
  Worker(int cpu, Lane lane, milliseconds work) : thread_([=, this] { Work(cpu, lane, work); }) {
    pthread_getcpuclockid(thread_.native_handle(), &clock_);
  }
  ~Worker() {
    isOver_ = true;
    thread_.join();
  }
  clockid_t clock() const { return clock_; }

 private:
  void Work(int cpu, Lane lane, milliseconds work) {
    IsolateExecutor(lane, cpu);
    while (!isOver_) {
      const auto beganAt = std::chrono::steady_clock::now();
      while (!isOver_ && (work.count() == 0 || std::chrono::steady_clock::now() - beganAt < work)) {
      }
      if (work.count() > 0) std::this_thread::sleep_for(work);
    }
  }

  std::atomic<bool> isOver_{false};
  clockid_t clock_{};
  std::thread thread_;
};

// Until the thread has worked for kLong since.
void WaitForWorkOf(clockid_t clock) {
  const std::uint64_t enoughNs = NsOf(clock) + std::chrono::nanoseconds(kLong).count();
  const auto endAt = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (NsOf(clock) < enoughNs && std::chrono::steady_clock::now() < endAt)
    std::this_thread::sleep_for(milliseconds(1));
}

TEST(AwakeLoops, RunWhileTheyAreHeldOnly) {
  AwakeLoops loops({{SomeCpu(), kNoClock}});
  ASSERT_EQ(loops.problem(), "");
  std::this_thread::sleep_for(milliseconds(20));
  const std::uint64_t beforeNs = loops.CpuNs();
  EXPECT_LT(beforeNs, 10'000'000u);
  for (int round = 0; round < 2; ++round) {
    const std::uint64_t heldNs = loops.CpuNs();
    loops.Hold();
    const auto endAt = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (loops.CpuNs() < heldNs + 5'000'000 && std::chrono::steady_clock::now() < endAt) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    EXPECT_GE(loops.CpuNs(), heldNs + 5'000'000);
    loops.Release();
    std::this_thread::sleep_for(milliseconds(100));
    const std::uint64_t releasedNs = loops.CpuNs();
    std::this_thread::sleep_for(milliseconds(100));
    EXPECT_LT(loops.CpuNs() - releasedNs, 1'000'000u);
  }
  loops.Hold();
}

TEST(AwakeLoops, LeaveACpuToTheBatchLane) {
  const int cpu = SomeCpu();
  AwakeLoops loops({{cpu, kNoClock}});
  ASSERT_EQ(loops.problem(), "");
  const Worker batch(cpu, Lane::kBatch, milliseconds(0));
  loops.Hold();
  WaitForWorkOf(batch.clock());
  EXPECT_GT(loops.CpuNs(), 0u);
  EXPECT_LT(loops.CpuNs() * 20, NsOf(batch.clock()));
}

TEST(AwakeLoops, LeaveACpuToTheBatchLaneBesideLiveRuns) {
  const int cpu = SomeCpu();
  const Worker live(cpu, Lane::kRealtime, milliseconds(4));
  const Worker batch(cpu, Lane::kBatch, milliseconds(0));
  AwakeLoops loops({{cpu, live.clock()}});
  ASSERT_EQ(loops.problem(), "");
  const std::uint64_t beforeNs = NsOf(batch.clock());
  loops.Hold();
  WaitForWorkOf(batch.clock());
  EXPECT_LT(loops.CpuNs() * 20, NsOf(batch.clock()) - beforeNs);
}

TEST(AwakeLoops, GoOnAfterRunsOfTheLiveExecutorOnly) {
  const int cpu = SomeCpu();
  const auto loopNs = [cpu](bool isExecutor) {
    const Worker live(cpu, Lane::kRealtime, milliseconds(4));
    AwakeLoops loops({{cpu, isExecutor ? live.clock() : kNoClock}});
    EXPECT_EQ(loops.problem(), "");
    loops.Hold();
    std::this_thread::sleep_for(kLong);
    return loops.CpuNs();
  };
  // Other programs may be on the CPU as well, and are a reason to leave it alone: such rounds do not count.
  const auto isFree = [cpu] {
    AwakeLoops loops({{cpu, kNoClock}});
    loops.Hold();
    std::this_thread::sleep_for(kLong);
    return loops.CpuNs() * 2 > static_cast<std::uint64_t>(std::chrono::nanoseconds(kLong).count());
  };
  int rounds = 0;
  int told = 0;
  for (int i = 0; i < 12 && rounds < 3; ++i) {
    if (!isFree()) continue;
    rounds += 1;
    if (loopNs(true) > 2 * loopNs(false)) told += 1;
  }
  if (rounds < 3) GTEST_SKIP() << "other programs have the CPU";
  EXPECT_GE(told, 2);
}

TEST(AwakeLoops, SayWhyTheyDoNotRun) {
  AwakeLoops loops({{SomeCpu(), kNoClock}, {CpuSet::kCpusMax - 1, kNoClock}});
  EXPECT_EQ(loops.problem(), "CPU 8191 is not among those that this process may use");
  loops.Hold();
}

}  // namespace
}  // namespace interleave
