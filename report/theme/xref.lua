-- Numbers figures, tables, equations and sections through the whole report and resolves
-- @fig-x, @tbl-x, @eq-x, @sec-x. An unknown or repeated label, and a figure or table without
-- label or caption, is an error.

local NAME = {fig = "Figure", tbl = "Table", eq = "Equation", sec = "Section"}
local TYPST = FORMAT:match("typst") ~= nil
local count = {fig = 0, tbl = 0, eq = 0}
local section = {0, 0, 0, 0, 0, 0}
local label, wrong = {}, {}

local function kind_of(id)
  local kind = id:match("^(%a+)%-")
  return NAME[kind] and kind
end

local function enter(id, number)
  if label[id] then table.insert(wrong, "label #" .. id .. " stands twice") end
  label[id] = number
end

local function number(el, kind)
  local text = pandoc.utils.stringify(el.caption.long)
  if text == "" or kind_of(el.identifier) ~= kind then
    local begins = text ~= "" and text or pandoc.utils.stringify(el)
    table.insert(wrong, NAME[kind]:lower() .. " '" .. begins:sub(1, 60) .. "' needs a caption and a label #" .. kind .. "-...")
    return
  end
  count[kind] = count[kind] + 1
  enter(el.identifier, tostring(count[kind]))
  local first = el.caption.long[1]
  first.content:insert(1, pandoc.Space())
  first.content:insert(1, pandoc.Strong(NAME[kind] .. "\u{a0}" .. count[kind] .. "."))
  el.caption.long[1] = first
end

-- On a screen a table may be wider than its column: it scrolls, its caption does not.
local function numbered_table(tbl)
  number(tbl, "tbl")
  if TYPST then return tbl, false end
  local caption, id = tbl.caption, tbl.identifier
  tbl.caption, tbl.identifier = {long = {}}, ""
  local scroll = pandoc.Div({tbl}, pandoc.Attr("", {"scroll"}, {tabindex = "0"}))
  return pandoc.Figure({scroll}, caption, pandoc.Attr(id, {"table"})), false
end

local function numbered_equation(math, id)
  count.eq = count.eq + 1
  enter(id, tostring(count.eq))
  local shown = "(" .. count.eq .. ")"
  if not TYPST then
    local span = pandoc.Span({pandoc.Str(shown)}, pandoc.Attr("", {"number"}))
    return pandoc.Div({pandoc.Plain({math, span})}, pandoc.Attr(id, {"equation"}))
  end
  local set = '#[#set math.equation(numbering: _ => "' .. shown .. '")\n'
  local body = pandoc.write(pandoc.Pandoc({pandoc.Para({math})}), "typst"):gsub("%s+$", "")
  return pandoc.RawBlock("typst", set .. body .. " <" .. id .. ">]")
end

-- Splits a paragraph at each `$$...$$ {#eq-x}`.
local function equations(para)
  local blocks, line = pandoc.Blocks({}), pandoc.Inlines({})
  local function close()
    while #line > 0 and (line[1].t == "Space" or line[1].t == "SoftBreak") do line:remove(1) end
    if #line > 0 then blocks:insert(pandoc.Para(line)) end
    line = pandoc.Inlines({})
  end
  local found = false
  for _, inline in ipairs(para.content) do
    local id = inline.t == "Str" and inline.text:match("^{#(eq%-[%w_-]+)}[.,;]?$")
    local gap = #line > 0 and (line[#line].t == "Space" or line[#line].t == "SoftBreak")
    local math = line[#line - (gap and 1 or 0)]
    if id and math and math.t == "Math" and math.mathtype == "DisplayMath" then
      if gap then line:remove(#line) end
      line:remove(#line)
      close()
      blocks:insert(numbered_equation(math, id))
      found = true
    else
      line:insert(inline)
    end
  end
  if not found then return end
  close()
  return blocks, false
end

local function numbered_section(header)
  if header.classes:includes("unnumbered") then return end
  section[header.level] = section[header.level] + 1
  for level = header.level + 1, 6 do section[level] = 0 end
  enter(header.identifier, table.concat(section, ".", 1, header.level))
end

local function link(citation)
  local known = label[citation.id]
  if not known then table.insert(wrong, "unresolved cross-reference @" .. citation.id) end
  local text = NAME[kind_of(citation.id)] .. "\u{a0}" .. (known or "?")
  return pandoc.Link(text, "#" .. citation.id, "", pandoc.Attr("", {"xref"}))
end

-- `@fig-x [@key]` is one Cite to pandoc: the references become links, the rest stays a citation.
local function reference(cite)
  local line, others = pandoc.Inlines({}), pandoc.List({})
  for _, citation in ipairs(cite.citations) do
    if kind_of(citation.id) then
      if #line > 0 then line:extend({pandoc.Str(","), pandoc.Space()}) end
      if #citation.prefix > 0 then line:extend(citation.prefix .. {pandoc.Space()}) end
      line:insert(link(citation))
      line:extend(citation.suffix)
    else
      citation.mode = "NormalCitation"
      others:insert(citation)
    end
  end
  if #line == 0 then return end
  if #others > 0 then line:extend({pandoc.Space(), pandoc.Cite(pandoc.Inlines({}), others)}) end
  return line
end

function Pandoc(doc)
  doc = doc:walk({
    traverse = "topdown",
    Header = numbered_section,
    Figure = function(figure) number(figure, "fig") return figure, false end,
    Table = numbered_table,
    Para = equations,
  })
  doc = doc:walk({Cite = reference})
  if #wrong > 0 then error(table.concat(wrong, "; "), 0) end
  return doc
end
