#include "run/loaders.h"

#include <algorithm>
#include <system_error>

#include "clock.h"
#include "item.h"

namespace interleave {

void Loaders::Add(const std::vector<std::size_t>& models) {
  const std::scoped_lock lock(mutex_);
  if (isStopping_) return;
  waiting_.insert(waiting_.end(), models.begin(), models.end());
  if (std::ranges::none_of(loaders_, &Loader::isRunning)) Start(0);
}

void Loaders::OnTick(std::int64_t nowNs) {
  const std::scoped_lock lock(mutex_);
  if (isStopping_ || waiting_.empty()) return;
  const auto isQuick = [&](const Loader& loader) {
    return loader.isRunning && nowNs - loader.sinceNs < options_.slowNs;
  };
  if (std::ranges::any_of(loaders_, isQuick)) return;
  const auto free = std::ranges::find(loaders_, false, &Loader::isRunning);
  if (free == loaders_.end()) return;
  try {
    Start(static_cast<std::size_t>(free - loaders_.begin()));
  } catch (const std::system_error&) {
    // No thread can be had now; the next tick tries again.
  }
}

void Loaders::Start(std::size_t index) {
  Loader& loader = loaders_[index];
  if (loader.thread.joinable()) loader.thread.join();  // at its end
  loader.thread = std::thread([this, index] { Loop(index); });
  loader.isRunning = true;
  loader.sinceNs = MonotonicNowNs();
}

void Loaders::Loop(std::size_t loader) {
  options_.onStart();
  std::size_t model = 0;
  while (Take(loader, model)) options_.load(loader, model);
  if (IsIdle()) options_.onIdle();
}

bool Loaders::IsIdle() {
  const std::scoped_lock lock(mutex_);
  return std::ranges::none_of(loaders_, &Loader::isRunning);
}

bool Loaders::Take(std::size_t index, std::size_t& model) {
  const std::scoped_lock lock(mutex_);
  Loader& loader = loaders_[index];
  loader.sinceNs = MonotonicNowNs();
  if (!isStopping_ && !waiting_.empty()) {
    model = waiting_.front();
    waiting_.pop_front();
    return true;
  }
  loader.isRunning = false;
  return false;
}

void Loaders::Stop() {
  {
    const std::scoped_lock lock(mutex_);
    isStopping_ = true;
    waiting_.clear();
  }
  for (Loader& loader : loaders_) {
    if (loader.thread.joinable()) loader.thread.join();
  }
}

}  // namespace interleave
