// Isolation of whole processes, each test in a child of its own, since most of it cannot be taken back.
#include "isolation/process_isolation.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "isolation/cpu_set.h"
#include "isolation/memory_limit.h"
#include "isolation/thread_isolation.h"

namespace interleave {
namespace {

std::vector<int> AllowedCpus() {
  const CpuSet allowed;
  std::vector<int> cpus;
  if (!allowed.ReadOf(0)) return cpus;
  for (int cpu = 0; cpu < CpuSet::kCpusMax; ++cpu) {
    if (allowed.Has(cpu)) cpus.push_back(cpu);
  }
  return cpus;
}

const IsolationTool& Find(const std::vector<IsolationTool>& tools, const std::string& name) {
  for (const IsolationTool& tool : tools) {
    if (tool.tool == name) return tool;
  }
  std::fprintf(stderr, "no tool %s\n", name.c_str());
  std::exit(1);
}

[[noreturn]] void ExitWith(bool passed, const std::string& what) {
  if (!passed) std::fprintf(stderr, "%s\n", what.c_str());
  std::_Exit(passed ? 0 : 1);
}

TEST(ProcessIsolation, MovesThreadsThatRunAlreadyAndThoseThatStartLater) {
  EXPECT_EXIT(
      {
        const int cpu = AllowedCpus().back();
        std::atomic<bool> isMoved{false};
        std::atomic<bool> wasMoved{false};
        const auto isOnCpu = [cpu] {
          const CpuSet own;
          return own.ReadOf(0) && own.Equals(CpuSet({cpu}));
        };
        std::thread earlier([&] {
          while (!isMoved) std::this_thread::yield();
          wasMoved = isOnCpu();
        });
        const auto tools = IsolateProcess({.workerId = "w", .cpus = {cpu}});
        isMoved = true;
        earlier.join();
        bool isInherited = false;
        std::thread([&] { isInherited = isOnCpu(); }).join();
        ExitWith(Find(tools, "process-affinity").state == ToolState::kActive && wasMoved && isInherited, "not moved");
      },
      testing::ExitedWithCode(0), "");
}

TEST(ProcessIsolation, SaysWhatIsNotWanted) {
  EXPECT_EXIT(
      {
        const auto tools = IsolateProcess({.workerId = "w", .cpus = AllowedCpus()});
        for (const char* name : {"numa-binding", "memory-limit", "oom-score", "cpu-idle"}) {
          const IsolationTool& tool = Find(tools, name);
          if (tool.state != ToolState::kOff || tool.reason.empty()) ExitWith(false, tool.tool + ": " + tool.reason);
        }
        ExitWith(true, "");
      },
      testing::ExitedWithCode(0), "");
}

TEST(ProcessIsolation, SaysThatCpusCannotBeHad) {
  EXPECT_EXIT(
      {
        const auto tools = IsolateProcess({.workerId = "w", .cpus = {CpuSet::kCpusMax - 1}});
        const IsolationTool& tool = Find(tools, "process-affinity");
        ExitWith(tool.state == ToolState::kUnavailable && !tool.reason.empty(), "not refused");
      },
      testing::ExitedWithCode(0), "");
}

TEST(ProcessIsolation, MakesBatchWorkersTheKernelsFirstChoice) {
  EXPECT_EXIT(
      {
        int before = 0;
        std::ifstream("/proc/self/oom_score_adj") >> before;
        const auto tools = IsolateProcess({.workerId = "w", .lane = Lane::kBatch, .cpus = AllowedCpus()});
        int after = 0;
        std::ifstream("/proc/self/oom_score_adj") >> after;
        const bool isRaised = Find(tools, "oom-score").state == ToolState::kActive && after > before;
        ExitWith(isRaised || before == 1000, "score " + std::to_string(after));
      },
      testing::ExitedWithCode(0), "");
}

TEST(ProcessIsolation, BindsMemoryToTheNodeThatThereIs) {
  EXPECT_EXIT(
      {
        const auto tools = IsolateProcess({.workerId = "w", .cpus = AllowedCpus(), .numaNodes = {0}});
        const IsolationTool& tool = Find(tools, "numa-binding");
        // A kernel without NUMA and sandboxes refuse the call; then the reason is told.
        ExitWith(tool.state == ToolState::kActive || !tool.reason.empty(), "no reason");
      },
      testing::ExitedWithCode(0), "");
}

bool IsByCgroup(const IsolationTool& tool) { return tool.reason.find("memory.max") != std::string::npos; }

// By our thread, or by the kernel where the process has a cgroup of its own.
bool EndedByTheLimit(int status) {
  return (WIFEXITED(status) && WEXITSTATUS(status) == kMemoryLimitExitCode) ||
         (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST(MemoryLimit, IsLookedAtSoonerTheLessIsLeft) {
  using std::chrono::milliseconds;
  const auto mib = [](std::int64_t count) { return count << 20; };
  EXPECT_EQ(UntilNextLook(mib(-5), 2), milliseconds(10));
  EXPECT_EQ(UntilNextLook(mib(100), 2), milliseconds(10));
  EXPECT_EQ(UntilNextLook(mib(1600), 2), milliseconds(100));
  EXPECT_EQ(UntilNextLook(mib(1600), 16), milliseconds(12));
  EXPECT_EQ(UntilNextLook(mib(1 << 20), 2), milliseconds(200));
}

TEST(MemoryLimit, EndsAProcessThatTouchesMoreThanItMay) {
  EXPECT_EXIT(
      {
        constexpr std::size_t kStepBytes = 4 << 20;
        LimitMemory({.workerId = "greedy", .bytes = 256 << 20, .executorsCount = 1});
        while (true) {
          constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
          void* memory = mmap(nullptr, kStepBytes, PROT_READ | PROT_WRITE, kFlags, -1, 0);
          if (memory == MAP_FAILED) pause();  // RLIMIT_DATA, above the limit
        }
      },
      EndedByTheLimit, "(worker greedy: [0-9]+ MiB of memory are in use, more than the 256 MiB)?");
}

void Touch(std::size_t bytes) {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
  if (mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kFlags, -1, 0) == MAP_FAILED) ExitWith(false, "no memory");
}

TEST(MemoryLimit, WithoutOneEndsAProcessThatHasMuchOfAMachineThatIsShort) {
  EXPECT_EXIT(
      {
        WatchMachine({.workerId = "greedy"}, [] { return MachineMemory{64 << 20, 128 << 20, 256 << 20}; });
        Touch(200 << 20);
        usleep(100'000);
        Touch(100 << 20);
        sleep(20);
        ExitWith(false, "not ended");
      },
      testing::ExitedWithCode(kMemoryLimitExitCode),
      "worker greedy: the machine has 64 MiB of memory left, and [23][0-9]+ MiB are in use");
}

TEST(MemoryLimit, WithoutOneLetsAProcessHaveMuchOfAMachineThatIsNotShort) {
  EXPECT_EXIT(
      {
        WatchMachine({.workerId = "large"}, [] { return MachineMemory{256 << 20, 128 << 20, 16 << 20}; });
        Touch(64 << 20);
        usleep(100'000);
        ExitWith(true, "");
      },
      testing::ExitedWithCode(0), "");
}

TEST(MemoryLimit, ReadsTheMachine) {
  const MachineMemory machine = ReadMachineMemory();
  EXPECT_GT(machine.availableBytes, 0);
  EXPECT_GT(machine.largeBytes, machine.shortBytes);
}

TEST(MemoryLimit, RefusesOneAllocationThatIsMuchLarger) {
  EXPECT_EXIT(
      {
        const IsolationTool tool = LimitMemory({.workerId = "w", .bytes = 256 << 20, .executorsCount = 1});
        if (IsByCgroup(tool)) ExitWith(true, "");  // the kernel refuses nothing then, it ends the process
        constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        void* memory = mmap(nullptr, std::size_t{4} << 30, PROT_READ | PROT_WRITE, kFlags, -1, 0);
        ExitWith(memory == MAP_FAILED, "4 GiB were granted");
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace interleave
