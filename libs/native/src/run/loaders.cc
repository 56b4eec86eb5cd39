#include "run/loaders.h"

#include <algorithm>
#include <iterator>
#include <system_error>

#include "clock.h"
#include "item.h"

namespace interleave {

void Loaders::Add(std::vector<Job> jobs) {
  const std::scoped_lock lock(mutex_);
  if (isStopping_ || jobs.empty()) return;
  waiting_.insert(waiting_.end(), std::move_iterator(jobs.begin()), std::move_iterator(jobs.end()));
  if (std::ranges::none_of(loaders_, &Loader::isRunning)) Start(0);
}

void Loaders::AddFirst(Job job) {
  const std::scoped_lock lock(mutex_);
  if (!isStopping_) waiting_.push_front(std::move(job));
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
  do {
    Job job;
    while (Take(loader, job)) {
      job(loader);
      job = nullptr;  // and with it what it holds
    }
    if (IsIdleBut(loader)) options_.onIdle();
  } while (!MayEnd(loader));
}

bool Loaders::IsIdleBut(std::size_t index) {
  const std::scoped_lock lock(mutex_);
  return std::ranges::none_of(loaders_,
                              [&](const Loader& loader) { return loader.isRunning && &loader != &loaders_[index]; });
}

// Whoever starts it again joins its thread with the mutex held, so from here on the thread does nothing.
bool Loaders::MayEnd(std::size_t index) {
  const std::scoped_lock lock(mutex_);
  if (!isStopping_ && !waiting_.empty()) return false;
  loaders_[index].isRunning = false;
  return true;
}

bool Loaders::Take(std::size_t index, Job& job) {
  const std::scoped_lock lock(mutex_);
  Loader& loader = loaders_[index];
  loader.sinceNs = MonotonicNowNs();
  if (isStopping_ || waiting_.empty()) return false;
  job = std::move(waiting_.front());
  waiting_.pop_front();
  return true;
}

bool Loaders::IsStopping() {
  const std::scoped_lock lock(mutex_);
  return isStopping_;
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
