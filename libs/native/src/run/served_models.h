// The models of a worker, which come and go while it serves.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "lane.h"
#include "run/served_model.h"

namespace interleave {

// Counters of names and versions without a model that are kept: metrics must not go backwards, nor grow for ever.
inline constexpr std::size_t kKeptStatsMax = 256;

// A model is in the table from Add to Remove. Afterwards nothing finds it, and it lives on for those that hold it: items
// that wait or run, probes, its load. Once nobody does it is unused: it waits for FreeUnused, because freeing takes
// milliseconds and whoever let go of it last may be an executor. Its slot is free only then. Thread-safe; outlives all
// that hold a model.
class ServedModels {
 public:
  using Model = std::shared_ptr<ServedModel>;

  ServedModels();
  ~ServedModels();
  ServedModels(const ServedModels&) = delete;
  ServedModels& operator=(const ServedModels&) = delete;

  // Throws std::invalid_argument for a revision that is in the table already. Where every slot is taken the model has
  // failed from the start, for that reason, and has slot kModelSlotsMax.
  Model Add(ModelPlan plan);
  // Retires the model. Null: it is not in the table.
  Model Remove(std::uint32_t revision);

  // Null: it is not in the table (any more).
  Model Find(std::uint32_t revision) const;
  // In the order in which they were added.
  std::vector<Model> All() const;

  // Revisions that are not in the table but take memory still: they are in use, or not freed yet.
  std::vector<std::uint32_t> Leaving() const;

  bool HasUnused() const;
  void FreeUnused();

  // What all revisions of one name and version have done and have waiting, those that are not in the table any more
  // included.
  struct StatsRow {
    std::string name;
    std::string version;
    std::shared_ptr<const ModelStats> stats;
    std::int64_t queueItems = 0;
    std::int64_t queueOldestNs = 0;  // 0: nothing waits
  };
  std::vector<StatsRow> Stats() const;

 private:
  struct Kept {
    std::string name;
    std::string version;
    std::shared_ptr<ModelStats> stats;
  };

  std::shared_ptr<ModelStats> StatsOf(const ModelPlan& plan);
  void ForgetStats();
  void TakeUnused(ServedModel* model);

  mutable std::mutex mutex_;                            // guards the rest; held for moments only
  std::vector<Model> models_;                           // in the order of All
  std::unordered_map<std::uint32_t, Model> byRevision_;
  std::vector<ServedModel*> used_;                      // those of models_, and those that live on
  std::vector<std::unique_ptr<ServedModel>> unused_;
  std::unordered_multiset<std::uint32_t> revisions_;    // of all that are not freed yet
  std::vector<std::uint32_t> freeSlots_;                 // the next one at the end
  // By slot: samples of the guard that tell a cost table by its generation must not take a model for the one before it.
  std::array<std::uint8_t, kModelSlotsMax> costsGenerations_{};
  std::vector<Kept> stats_;                             // in the order in which they were first needed
};

// ModelReport[] of libs/contracts.
std::string ReportsJson(const ServedModels& models);

// WorkerReport of libs/contracts.
std::string WorkerReportJson(const std::string& workerId, Lane lane, const ServedModels& models);

}  // namespace interleave
