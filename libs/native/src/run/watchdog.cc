#include "run/watchdog.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <limits>
#include <utility>

namespace interleave {
namespace {

constexpr auto kTick = std::chrono::milliseconds(20);
// After one in which nothing ran: each is a wake-up, on a CPU where others may compute.
constexpr auto kIdleTick = std::chrono::milliseconds(100);

std::int64_t ClockNs(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Falls back to wall-clock time where a thread has no clock of its own.
clockid_t OwnCpuClock() {
  clockid_t clock = CLOCK_MONOTONIC;
  if (pthread_getcpuclockid(pthread_self(), &clock) != 0) clock = CLOCK_MONOTONIC;
  return clock;
}

// proc_pid_stat(5): the state follows the name, which may hold any character.
bool IsSleeping(pid_t tid) {
  std::ifstream file("/proc/self/task/" + std::to_string(tid) + "/stat");
  std::string stat;
  std::getline(file, stat);
  const std::size_t nameEnd = stat.rfind(')');
  if (nameEnd == std::string::npos || nameEnd + 2 >= stat.size()) return false;
  const char state = stat[nameEnd + 2];
  return state == 'S' || state == 'D';
}

const char* WhyEnded(Watchdog::Watch::Ended reason) {
  switch (reason) {
    case Watchdog::Watch::Ended::kTooLong:
      return "after its time limit";
    case Watchdog::Watch::Ended::kTooCostly:
      return "long past its predicted cost";
    case Watchdog::Watch::Ended::kStopping:
    case Watchdog::Watch::Ended::kNo:
      break;
  }
  return "when asked to stop";
}

}  // namespace

Watchdog::Watchdog(WatchdogOptions options)
    : options_(std::move(options)), slots_(new Slot[options_.executorsCount]), thread_([this] { Loop(); }) {}

Watchdog::~Watchdog() {
  {
    const std::scoped_lock lock(mutex_);
    isStopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
}

void Watchdog::Loop() {
  pthread_setname_np(pthread_self(), "watchdog");
  std::unique_lock lock(mutex_);
  auto tick = kTick;
  while (!stop_.wait_for(lock, tick, [this] { return isStopping_; })) {
    lock.unlock();
    tick = kIdleTick;
    for (std::size_t i = 0; i < options_.executorsCount; ++i) {
      if (Check(i)) tick = kTick;
    }
    if (options_.onTick) options_.onTick();
    lock.lock();
  }
}

bool Watchdog::Check(std::size_t executor) const {
  Slot& slot = slots_[executor];
  const std::scoped_lock lock(slot.mutex);
  const bool hasRun = std::exchange(slot.hasRun, slot.run != nullptr);
  if (slot.run == nullptr) return hasRun;
  CountTick(slot, options_.mayBeHeldBack);
  const std::int64_t nowNs = NowNs(slot);
  if (slot.endedNs != 0) {
    if (nowNs - slot.endedNs > options_.graceNs) GiveUp(executor);
  } else if (nowNs - slot.startNs > slot.limits.timeNs) {
    End(slot, Watch::Ended::kTooLong);
  } else if (slot.limits.cpuNs && CpuNs(slot) - slot.startCpuNs > slot.limits.cpuNs()) {
    End(slot, Watch::Ended::kTooCostly);
  }
  return true;
}

void Watchdog::CountTick(Slot& slot, bool mayBeHeldBack) {
  constexpr std::int64_t kTickNs = std::chrono::nanoseconds(kTick).count();
  if (slot.team.empty()) {
    if (!mayBeHeldBack) return;
    const std::int64_t cpuNs = ClockNs(slot.cpuClock);
    // Who computed for half of the tick did not sleep through it; a look into /proc costs more than the tick.
    if (cpuNs - slot.tickCpuNs < kTickNs / 2 && IsSleeping(slot.tid)) slot.sleptNs += kTickNs;
    slot.tickCpuNs = cpuNs;
    return;
  }
  std::int64_t leastNs = std::numeric_limits<std::int64_t>::max();
  for (Worker& worker : slot.team) {
    const std::int64_t cpuNs = ClockNs(worker.thread.cpuClock);
    if (!IsSleeping(worker.thread.tid)) leastNs = std::min(leastNs, cpuNs - worker.cpuNs);
    worker.cpuNs = cpuNs;
  }
  if (leastNs != std::numeric_limits<std::int64_t>::max()) {
    slot.teamNs += leastNs;
  } else if (mayBeHeldBack) {
    slot.sleptNs += kTickNs;
  }
}

std::int64_t Watchdog::CpuNs(const Slot& slot) { return slot.team.empty() ? ClockNs(slot.cpuClock) : slot.teamNs; }

std::int64_t Watchdog::NowNs(const Slot& slot) {
  return (slot.clock == CLOCK_MONOTONIC ? ClockNs(slot.clock) : CpuNs(slot)) + slot.sleptNs;
}

// `slot.mutex` is held, so that the run options are alive. The runtime looks at the flag between graph nodes.
void Watchdog::End(Slot& slot, Watch::Ended reason) {
  slot.endedNs = NowNs(slot);
  slot.reason = reason;
  slot.library->Check(slot.library->api().RunOptionsSetTerminate(slot.run));
}

void Watchdog::GiveUp(std::size_t executor) const {
  const Slot& slot = slots_[executor];
  if (options_.onGiveUp) options_.onGiveUp(executor);
  std::fprintf(stderr, "interleave worker: a run of %s does not end %s; aborting the process\n", slot.what.c_str(),
               WhyEnded(slot.reason));
  std::abort();
}

void Watchdog::EndAllRuns() {
  // Seen by every Watch that starts after its slot was visited below: both hold the slot's mutex.
  endsAllRuns_.store(true);
  for (std::size_t i = 0; i < options_.executorsCount; ++i) {
    const std::scoped_lock lock(slots_[i].mutex);
    if (slots_[i].run != nullptr && slots_[i].endedNs == 0) End(slots_[i], Watch::Ended::kStopping);
  }
}

Watchdog::Watch::Watch(Watchdog& watchdog, std::size_t executor, const ort::OrtLibrary& library, ort::RunOptions* run,
                       const std::string& what, const Limits& limits, std::span<const ThreadTeam::Thread> helpers)
    : watchdog_(watchdog), executor_(executor) {
  Slot& slot = watchdog.slots_[executor];
  const std::scoped_lock lock(slot.mutex);
  slot.library = &library;
  slot.run = run;
  slot.hasRun = true;
  slot.what = what;
  slot.limits = limits;
  slot.cpuClock = OwnCpuClock();
  slot.clock = watchdog.options_.mayBeHeldBack ? slot.cpuClock : CLOCK_MONOTONIC;
  slot.tid = gettid();
  slot.team.clear();
  if (!helpers.empty()) slot.team.push_back({.thread = {.tid = slot.tid, .cpuClock = slot.cpuClock}});
  for (const ThreadTeam::Thread& helper : helpers) slot.team.push_back({.thread = helper});
  for (Worker& worker : slot.team) worker.cpuNs = ClockNs(worker.thread.cpuClock);
  slot.teamNs = 0;
  slot.sleptNs = 0;
  slot.startNs = NowNs(slot);
  slot.startCpuNs = CpuNs(slot);
  slot.tickCpuNs = slot.startCpuNs;
  slot.endedNs = 0;
  slot.reason = Ended::kNo;
  if (watchdog.endsAllRuns_.load()) End(slot, Ended::kStopping);
}

Watchdog::Watch::~Watch() {
  Slot& slot = watchdog_.slots_[executor_];
  const std::scoped_lock lock(slot.mutex);
  slot.run = nullptr;
}

Watchdog::Watch::Ended Watchdog::Watch::ended() const {
  Slot& slot = watchdog_.slots_[executor_];
  const std::scoped_lock lock(slot.mutex);
  return slot.reason;
}

}  // namespace interleave
