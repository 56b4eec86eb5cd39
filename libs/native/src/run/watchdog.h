// Ends runs that take too long. One thread of ordinary priority watches all executors of a worker.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "session/ort_api.h"
#include "session/thread_team.h"

namespace interleave {

struct WatchdogOptions {
  std::size_t executorsCount = 0;
  // Leave out the time in which the kernel holds an executor back: in the batch lane that is for as long as live
  // traffic wants the CPU, which says nothing about the run. What counts is its own CPU time, and each tick at which it
  // sleeps and for most of which it did not compute.
  bool mayBeHeldBack = false;
  // After asking the runtime to end a run: how long until the process is given up.
  std::int64_t graceNs = 2'000'000'000;
  // Called on the watchdog's thread with the executor whose run does not end, before the process is given up.
  std::function<void(std::size_t)> onGiveUp = {};
  // Called once per tick on the watchdog's thread, for chores that need no executor: every 20 ms, or 100 ms after
  // a tick in which nothing ran.
  std::function<void()> onTick;
};

class Watchdog {
 public:
  explicit Watchdog(WatchdogOptions options);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  struct Limits {
    std::int64_t timeNs = 0;
    // Limit of the executor's own CPU time, in both lanes; null: none. Asked at every tick, on the watchdog's thread,
    // so that what is learned while a run lasts counts for it.
    std::function<std::int64_t()> cpuNs = {};
  };

  // Watches one run, from construction to destruction, on the executor's own thread. `run` and `helpers`, on which it
  // computes as well, outlive it. With helpers the CPU time of the run is, tick by tick, the least that one of its
  // threads had which did not sleep: the others spin while they wait for one that the kernel holds back.
  class Watch {
   public:
    Watch(Watchdog& watchdog, std::size_t executor, const ort::OrtLibrary& library, ort::RunOptions* run,
          const std::string& what, const Limits& limits, std::span<const ThreadTeam::Thread> helpers = {});
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    enum class Ended { kNo, kTooLong, kTooCostly, kStopping };
    // Why the watchdog asked the runtime to end this run, if it did.
    Ended ended() const;

   private:
    Watchdog& watchdog_;
    const std::size_t executor_;
  };

  // Asks every run that is under way, and every later one, to end.
  void EndAllRuns();

 private:
  struct Worker {
    ThreadTeam::Thread thread;
    std::int64_t cpuNs = 0;  // at the last tick
  };
  struct Slot {
    std::mutex mutex;  // guards the rest; held for a few instructions, with `mayBeHeldBack` for a small read of /proc
                       // once a tick
    const ort::OrtLibrary* library = nullptr;
    ort::RunOptions* run = nullptr;  // null: no run
    bool hasRun = false;             // since the last tick
    std::string what;
    Limits limits;
    clockid_t clock = 0;
    clockid_t cpuClock = 0;
    pid_t tid = 0;
    std::int64_t sleptNs = 0;  // where executors may be held back
    std::int64_t startNs = 0;
    std::int64_t startCpuNs = 0;
    std::int64_t tickCpuNs = 0;  // at the last tick, without a team
    std::int64_t endedNs = 0;    // 0: not asked to end
    std::vector<Worker> team;    // this thread and its helpers; empty: it has none
    std::int64_t teamNs = 0;     // CPU time of the run
    Watch::Ended reason = Watch::Ended::kNo;
  };

  void Loop();
  // Whether it has run anything since the last tick.
  bool Check(std::size_t executor) const;
  // Adds the tick that is over.
  static void CountTick(Slot& slot, bool mayBeHeldBack);
  static std::int64_t CpuNs(const Slot& slot);
  // Time of the run, on the clock of its time limit.
  static std::int64_t NowNs(const Slot& slot);
  static void End(Slot& slot, Watch::Ended reason);
  [[noreturn]] void GiveUp(std::size_t executor) const;

  const WatchdogOptions options_;
  std::unique_ptr<Slot[]> slots_;
  std::atomic<bool> endsAllRuns_{false};
  std::mutex mutex_;  // guards isStopping_
  std::condition_variable stop_;
  bool isStopping_ = false;
  std::thread thread_;
};

}  // namespace interleave
