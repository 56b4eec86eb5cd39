#include "isolation/awake_loops.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <future>

#include "isolation/thread_isolation.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace interleave {
namespace {

// It calls a few functions.
constexpr std::size_t kStackBytes = 256 * 1024;
// Some 1.5 us on recent CPUs.
constexpr int kPauses = 16;
constexpr std::int64_t kYieldNs = 20'000;
// Shorter ones are requests on their way, or interrupts.
constexpr std::int64_t kAbsenceNs = 1'000'000;
constexpr std::int64_t kPauseNsMin = 10'000'000;
constexpr std::int64_t kPauseNsMax = 160'000'000;
// Whoever has a CPU for so long gives it back now and then.
constexpr std::int64_t kCalmNs = 20'000'000;

std::int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// 0: there is no such clock, or its thread has ended.
std::int64_t ClockNs(clockid_t clock) {
  timespec time{};
  if (clock == 0 || clock_gettime(clock, &time) != 0) return 0;
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

void Pause() {
#if defined(__x86_64__)
  for (int i = 0; i < kPauses; ++i) _mm_pause();
#elif defined(__aarch64__)
  for (int i = 0; i < kPauses; ++i) asm volatile("isb");
#endif
}

}  // namespace

struct AwakeLoops::Loop {
  AwakeLoops* owner = nullptr;
  AwakeCpu cpu;
  std::promise<std::string> prepared;
  pthread_t thread{};
  clockid_t clock = 0;
  std::int64_t pauseNs = 0;  // after others wanted the CPU; 0: they did not
};

AwakeLoops::AwakeLoops(const std::vector<AwakeCpu>& cpus) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  for (std::size_t i = 0; i < std::min(cpus.size(), kLoopsMax); ++i) {
    auto loop = std::make_unique<Loop>();
    loop->owner = this;
    loop->cpu = cpus[i];
    const auto run = [](void* argument) -> void* {
      auto& own = *static_cast<Loop*>(argument);
      own.owner->Run(own);
      return nullptr;
    };
    const int error = pthread_create(&loop->thread, &attributes, run, loop.get());
    if (error != 0) {
      problem_ = std::string("a thread: ") + std::strerror(error);
      break;
    }
    loops_.push_back(std::move(loop));
  }
  pthread_attr_destroy(&attributes);
  // A thread of the idle class may take a while to say so on a busy machine: all at once.
  for (const auto& loop : loops_) {
    const std::string problem = loop->prepared.get_future().get();
    if (problem_.empty()) problem_ = problem;
  }
}

AwakeLoops::~AwakeLoops() {
  {
    const std::scoped_lock lock(mutex_);
    isStopping_ = true;
    held_ = false;
  }
  changed_.notify_all();
  for (const auto& loop : loops_) pthread_join(loop->thread, nullptr);
}

std::uint64_t AwakeLoops::CpuNs() const {
  std::uint64_t sumNs = 0;
  for (const auto& loop : loops_) sumNs += static_cast<std::uint64_t>(ClockNs(loop->clock));
  return sumNs;
}

void AwakeLoops::SetHeld(bool held) {
  {
    const std::scoped_lock lock(mutex_);
    held_ = held;
  }
  if (held) changed_.notify_all();
}

void AwakeLoops::Run(Loop& loop) {
  pthread_setname_np(pthread_self(), ("awake-" + std::to_string(loop.cpu.cpu)).substr(0, 15).c_str());
  std::string problem;
  for (const IsolationTool& tool : IsolateAwakeLoop(loop.cpu.cpu)) {
    if (problem.empty() && tool.state != ToolState::kActive) problem = tool.reason;
  }
  const bool isUsable = problem.empty();
  if (isUsable) pthread_getcpuclockid(pthread_self(), &loop.clock);
  loop.prepared.set_value(std::move(problem));
  if (!isUsable) return;
  bool isFree = true;
  while (Wait(isFree ? 0 : loop.pauseNs)) isFree = Spin(loop);
}

bool AwakeLoops::Wait(std::int64_t pauseNs) {
  std::unique_lock lock(mutex_);
  if (pauseNs > 0) changed_.wait_for(lock, std::chrono::nanoseconds(pauseNs), [this] { return isStopping_; });
  changed_.wait(lock, [this] { return held_ || isStopping_; });
  return !isStopping_;
}

bool AwakeLoops::Spin(Loop& loop) {
  const std::int64_t beganNs = NowNs();
  std::int64_t workedNs = ClockNs(loop.cpu.executorClock);
  std::int64_t lastNs = beganNs;
  std::int64_t yieldedNs = beganNs;
  while (held_.load(std::memory_order_relaxed)) {
    if (lastNs - yieldedNs > kYieldNs) {
      workedNs = ClockNs(loop.cpu.executorClock);
      sched_yield();
      yieldedNs = lastNs;
    } else {
      Pause();
    }
    const std::int64_t nowNs = NowNs();
    if (nowNs - lastNs > kAbsenceNs) {
      const std::int64_t ranNs = ClockNs(loop.cpu.executorClock) - workedNs;
      if (nowNs - lastNs - ranNs > kAbsenceNs) {
        loop.pauseNs = std::clamp(2 * loop.pauseNs, kPauseNsMin, kPauseNsMax);
        return false;
      }
    }
    lastNs = nowNs;
    if (nowNs - beganNs > kCalmNs) loop.pauseNs = 0;
  }
  return true;
}

}  // namespace interleave
