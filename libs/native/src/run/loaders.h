// The threads that load models and free them: one after the other, and past loads that take long.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace interleave {

// Loads that never end hold up the models behind them once there are as many of them.
// LOADERS_MAX of apps/scheduler/src/supervision/heartbeat-file.ts.
inline constexpr std::size_t kLoadersMax = 4;

struct LoadersOptions {
  // A load that takes longer (wall-clock time) gets another thread beside it for the models that wait.
  std::int64_t slowNs = 30'000'000'000;
  // Called on a loader's thread before its first job, and once none waits or is done any more.
  std::function<void()> onStart;
  std::function<void()> onIdle;
};

// Thread-safe.
class Loaders {
 public:
  explicit Loaders(LoadersOptions options) : options_(std::move(options)) {}
  ~Loaders() { Stop(); }
  Loaders(const Loaders&) = delete;
  Loaders& operator=(const Loaders&) = delete;

  // Loads a model on the thread of the loader with this number, below kLoadersMax; throws nothing.
  using Job = std::function<void(std::size_t loader)>;

  // Does the jobs in this order, after those that wait already. Throws std::system_error when there can be no thread.
  void Add(std::vector<Job> jobs);

  // Does the job, which is no load but short, before those that wait, as soon as a loader is at its next job; one that
  // begins to run is started by OnTick.
  void AddFirst(Job job);

  // Starts another thread where models wait and every load under way is slow.
  void OnTick(std::int64_t nowNs);

  // Begins no further job and waits for those under way; drops the others. Idempotent.
  void Stop();
  // A load that waits for something is to give up.
  bool IsStopping();

 private:
  struct Loader {
    std::thread thread{};
    bool isRunning = false;
    std::int64_t sinceNs = 0;  // of its load
  };

  // `mutex_` is held.
  void Start(std::size_t loader);
  void Loop(std::size_t loader);
  // False: there is none.
  bool Take(std::size_t loader, Job& job);
  // No other loader has work.
  bool IsIdleBut(std::size_t loader);
  bool MayEnd(std::size_t loader);

  const LoadersOptions options_;
  std::mutex mutex_;  // guards the rest
  std::deque<Job> waiting_;
  std::array<Loader, kLoadersMax> loaders_;
  bool isStopping_ = false;
};

}  // namespace interleave
