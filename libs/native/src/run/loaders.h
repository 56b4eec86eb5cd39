// The threads that load models: one after the other, and past those that take long.
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
  // Called on a loader's thread, with its number below kLoadersMax; throws nothing.
  std::function<void(std::size_t loader, std::size_t model)> load;
  // Called on a loader's thread before its first load, and once no model waits or loads any more.
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

  // Loads the models in this order, after those that wait already. Throws std::system_error when there can be no
  // thread.
  void Add(const std::vector<std::size_t>& models);

  // Starts another thread where models wait and every load under way is slow.
  void OnTick(std::int64_t nowNs);

  // Begins no further load and waits for those under way. Idempotent.
  void Stop();

 private:
  struct Loader {
    std::thread thread{};
    bool isRunning = false;
    std::int64_t sinceNs = 0;  // of its load
  };

  // `mutex_` is held.
  void Start(std::size_t loader);
  void Loop(std::size_t loader);
  // False: the thread ends.
  bool Take(std::size_t loader, std::size_t& model);
  bool IsIdle();

  const LoadersOptions options_;
  std::mutex mutex_;  // guards the rest
  std::deque<std::size_t> waiting_;
  std::array<Loader, kLoadersMax> loaders_;
  bool isStopping_ = false;
};

}  // namespace interleave
