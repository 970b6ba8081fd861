-- Folds the code of cells in HTML; the PDF has none.

local function fold(block)
  if not block.classes:includes("cell-code") then return end
  local summary = block.attributes.summary
  block.attributes.summary = nil
  if not FORMAT:match("html") then return {} end
  return {
    pandoc.RawBlock("html", '<details class="code"><summary>' .. (summary or "Code"):gsub("[<>&]", "") .. "</summary>"),
    block,
    pandoc.RawBlock("html", "</details>"),
  }
end

return {{CodeBlock = fold}}
