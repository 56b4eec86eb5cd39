// Ends runs that take too long. One thread of ordinary priority watches all executors of a worker.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "session/ort_api.h"

namespace interleave {

struct WatchdogOptions {
  std::size_t executorsCount = 0;
  // Count an executor's own CPU time instead of the time on the wall: in the batch lane the kernel may hold an executor
  // back for as long as live traffic wants the CPU, which says nothing about the run.
  bool countsCpuTime = false;
  // After asking the runtime to end a run: how long until the process is given up.
  std::int64_t graceNs = 2'000'000'000;
  // Called once per tick on the watchdog's thread, for chores that need no executor.
  std::function<void()> onTick;
};

class Watchdog {
 public:
  explicit Watchdog(WatchdogOptions options);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Watches one run, from construction to destruction, on the executor's own thread. `run` outlives it.
  class Watch {
   public:
    Watch(Watchdog& watchdog, std::size_t executor, const ort::OrtLibrary& library, ort::RunOptions* run,
          const std::string& what, std::int64_t limitNs);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    enum class Ended { kNo, kTooLong, kStopping };
    // Why the watchdog asked the runtime to end this run, if it did.
    Ended ended() const;

   private:
    Watchdog& watchdog_;
    const std::size_t executor_;
  };

  // Asks every run that is under way, and every later one, to end.
  void EndAllRuns();

 private:
  struct Slot {
    std::mutex mutex;  // guards the rest; held for a few instructions
    const ort::OrtLibrary* library = nullptr;
    ort::RunOptions* run = nullptr;  // null: no run
    std::string what;
    clockid_t clock = 0;
    std::int64_t limitNs = 0;
    std::int64_t startNs = 0;
    std::int64_t endedNs = 0;  // 0: not asked to end
    Watch::Ended reason = Watch::Ended::kNo;
  };

  void Loop();
  void Check(Slot& slot) const;
  static void End(Slot& slot, Watch::Ended reason);
  [[noreturn]] static void GiveUp(const Slot& slot);

  const WatchdogOptions options_;
  std::unique_ptr<Slot[]> slots_;
  std::atomic<bool> endsAllRuns_{false};
  std::mutex mutex_;  // guards isStopping_
  std::condition_variable stop_;
  bool isStopping_ = false;
  std::thread thread_;
};

}  // namespace interleave
