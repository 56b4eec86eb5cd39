#include "run/served_models.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace interleave {

ServedModels::ServedModels() {
  for (std::uint32_t slot = kModelSlotsMax; slot-- > 0;) freeSlots_.push_back(slot);
}

ServedModels::~ServedModels() {
  byRevision_.clear();
  models_.clear();
  FreeUnused();
}

ServedModels::Model ServedModels::Add(ModelPlan plan) {
  const std::scoped_lock lock(mutex_);
  const std::uint32_t revision = plan.revision;
  if (byRevision_.contains(revision)) {
    throw std::invalid_argument("the worker has revision " + std::to_string(revision) + " already");
  }
  const bool isFull = freeSlots_.empty();
  const std::uint32_t slot = isFull ? kModelSlotsMax : freeSlots_.back();
  ServedModel::Place place{.slot = slot, .stats = StatsOf(plan), .costsGeneration = 0};
  if (!isFull) {
    place.costsGeneration = costsGenerations_[slot];
    freeSlots_.pop_back();
  }
  const Model model(new ServedModel(std::move(plan), std::move(place)), [this](ServedModel* last) { TakeUnused(last); });
  used_.push_back(model.get());
  models_.push_back(model);
  byRevision_.emplace(revision, model);
  revisions_.insert(revision);
  if (isFull) model->Fail("the worker has " + std::to_string(kModelSlotsMax) + " models already; unload others");
  return model;
}

ServedModels::Model ServedModels::Remove(std::uint32_t revision) {
  const std::scoped_lock lock(mutex_);
  const auto found = byRevision_.find(revision);
  if (found == byRevision_.end()) return nullptr;
  Model model = std::move(found->second);
  byRevision_.erase(found);
  std::erase(models_, model);
  model->Retire();
  return model;
}

ServedModels::Model ServedModels::Find(std::uint32_t revision) const {
  const std::scoped_lock lock(mutex_);
  const auto found = byRevision_.find(revision);
  return found == byRevision_.end() ? nullptr : found->second;
}

std::vector<ServedModels::Model> ServedModels::All() const {
  const std::scoped_lock lock(mutex_);
  return models_;
}

// On whatever thread let go of it last. Where memory is short, freeing it here is the lesser evil.
void ServedModels::TakeUnused(ServedModel* model) {
  std::unique_ptr<ServedModel> unused(model);
  const std::scoped_lock lock(mutex_);
  std::erase(used_, model);
  unused_.push_back(std::move(unused));
}

std::vector<std::uint32_t> ServedModels::Leaving() const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::uint32_t> leaving;
  for (const std::uint32_t revision : revisions_) {
    if (!byRevision_.contains(revision)) leaving.push_back(revision);
  }
  return leaving;
}

bool ServedModels::HasUnused() const {
  const std::scoped_lock lock(mutex_);
  return !unused_.empty();
}

void ServedModels::FreeUnused() {
  std::vector<std::unique_ptr<ServedModel>> unused;
  {
    const std::scoped_lock lock(mutex_);
    unused.swap(unused_);
  }
  for (std::unique_ptr<ServedModel>& model : unused) {
    const std::uint32_t slot = model->slot();
    const std::uint32_t revision = model->plan().revision;
    const std::uint8_t generation = model->costs().generation();
    model.reset();
    const std::scoped_lock lock(mutex_);
    revisions_.erase(revisions_.find(revision));
    if (slot == kModelSlotsMax) continue;
    costsGenerations_[slot] = static_cast<std::uint8_t>(generation + 1);
    freeSlots_.push_back(slot);
  }
}

std::vector<ServedModels::StatsRow> ServedModels::Stats() const {
  const std::scoped_lock lock(mutex_);
  std::vector<StatsRow> rows;
  std::unordered_map<const ModelStats*, std::size_t> rowOf;
  for (const Kept& kept : stats_) {
    rowOf[kept.stats.get()] = rows.size();
    rows.push_back({.name = kept.name, .version = kept.version, .stats = kept.stats});
  }
  for (const ServedModel* model : used_) {
    StatsRow& row = rows[rowOf.at(&model->stats())];
    row.queueItems += model->gauge().items.load(std::memory_order_relaxed);
    const std::int64_t oldestNs = model->gauge().oldestNs.load(std::memory_order_relaxed);
    if (oldestNs != 0 && (row.queueOldestNs == 0 || oldestNs < row.queueOldestNs)) row.queueOldestNs = oldestNs;
  }
  return rows;
}

// `mutex_` is held.
std::shared_ptr<ModelStats> ServedModels::StatsOf(const ModelPlan& plan) {
  const auto found = std::ranges::find_if(
      stats_, [&](const Kept& kept) { return kept.name == plan.name && kept.version == plan.version; });
  if (found != stats_.end()) return found->stats;
  ForgetStats();
  return stats_.emplace_back(plan.name, plan.version, std::make_shared<ModelStats>()).stats;
}

// `mutex_` is held. Of those without a model the oldest go, as far as there are too many.
void ServedModels::ForgetStats() {
  const auto isKept = [](const Kept& kept) { return kept.stats.use_count() == 1; };
  auto tooMany = std::ranges::count_if(stats_, isKept) - static_cast<std::ptrdiff_t>(kKeptStatsMax) + 1;
  std::erase_if(stats_, [&](const Kept& kept) { return isKept(kept) && tooMany-- > 0; });
}

}  // namespace interleave
